"""What the request itself says: the inputs of its lines and the aggregates over its basket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from returnml.features.declarations import BasketAggregate, FeatureDeclarations, InputKind, Operation, RequestInput
from returnml.features.fit_codes import (
    letter_size,
    number_size,
)
from returnml.features.windows import DAY_US, EPOCH_WEEKDAY, HOUR_US

OrderColumns = Mapping[str, Sequence[Any]]
"""The lines of one order by column: those of ``contracts.columns.ORDERS`` and ``line_value_cents``; None is null."""
Integers = list[int | None]
_Same = list[list[int] | None] | None
"""Of each line those that are the same in something, None where that is missing; None: every line is alone."""
_Sames = Mapping[tuple[str, ...], _Same]


SIZES = (InputKind.LETTER_SIZE, InputKind.NUMBER_SIZE)
"""Read from texts."""
BATCH_ONLY = (InputKind.TEXT, InputKind.SINCE)
"""Read by no request."""


def input_values(declared: RequestInput, order: OrderColumns, requested_at_us: int) -> Integers:
    """One request input of an order's lines: an integer or None for each."""
    return _input(declared)(order, requested_at_us, _lines(order))


def basket_values(declared: BasketAggregate, order: OrderColumns) -> Integers:
    """One basket aggregate of an order's lines: an integer or None for each."""
    sames = {declared.by: _members(order, declared.by)} if declared.by else {}
    return _basket(declared)(order, _lines(order), sames)


class RequestPlan:
    """Evaluates the request inputs, then the basket aggregates, in declared order."""

    def __init__(self, feature_set: FeatureDeclarations) -> None:
        self._inputs = [_input(declared) for declared in feature_set.request]
        self._baskets = [_basket(declared) for declared in feature_set.basket]
        self._sames = list(dict.fromkeys(declared.by for declared in feature_set.basket if declared.by))

    def values(self, order: OrderColumns, requested_at_us: int) -> list[Integers]:
        """One list for each input and aggregate: an integer or None for each line.

        Raises:
            KeyError: naming a column that is absent.
        """
        lines = _lines(order)
        inputs = [read(order, requested_at_us, lines) for read in self._inputs]
        sames = {by: _members(order, by) for by in self._sames}
        return inputs + [read(order, lines, sames) for read in self._baskets]


def _lines(order: OrderColumns) -> int:
    return len(next(iter(order.values())))


def _input(declared: RequestInput) -> Callable[[OrderColumns, int, int], Integers]:
    column = declared.column or ""
    if declared.kind is InputKind.INTEGER:
        return lambda order, _, __: list(order[column])
    if declared.kind is InputKind.LETTER_SIZE:
        return lambda order, _, __: [letter_size(value) for value in order[column]]
    if declared.kind is InputKind.NUMBER_SIZE:
        return lambda order, _, __: [number_size(value) for value in order[column]]
    if declared.kind is InputKind.PRESENT:
        return lambda order, _, __: [int(value is not None) for value in order[column]]
    if declared.kind is InputKind.HOUR_OF_DAY:
        return lambda _, at_us, lines: [at_us % DAY_US // HOUR_US] * lines
    if declared.kind is InputKind.DAYS_SINCE:
        return lambda order, at_us, _: [None if day is None else at_us // DAY_US - day for day in order[column]]
    if declared.kind in BATCH_ONLY:
        raise ValueError(f"request input {declared.name!r}: {declared.kind} is read in batch only")
    return lambda _, at_us, lines: [(at_us // DAY_US + EPOCH_WEEKDAY) % 7] * lines


def _members(order: OrderColumns, by: tuple[str, ...]) -> _Same:
    """For each line the lines that are the same ``by`` these columns, itself included; None where one of them is missing."""
    same = [None if None in key else key for key in zip(*[order[column] for column in by], strict=True)]
    if None not in same and len({*same}) == len(same):
        return None
    found: dict[tuple[Any, ...] | None, list[int]] = {}
    for i, key in enumerate(same):
        found.setdefault(key, []).append(i)
    return [None if key is None else found[key] for key in same]


def _basket(declared: BasketAggregate) -> Callable[[OrderColumns, int, _Sames], Integers]:
    reduce, alone = _REDUCE[declared.operation], _ALONE[declared.operation]
    column = declared.column

    def whole(order: OrderColumns, lines: int, _: _Sames) -> Integers:
        return [reduce(range(lines) if column is None else order[column])] * lines

    def by(order: OrderColumns, lines: int, sames: _Sames) -> Integers:
        values: Sequence[Any] = range(lines) if column is None else order[column]
        same = sames[declared.by]
        if same is None:
            return alone(values)
        return [None if members is None else reduce([values[i] for i in members]) for members in same]

    return by if declared.by else whole


_REDUCE: dict[Operation, Callable[[Sequence[Any]], int]] = {
    Operation.COUNT: lambda values: len([v for v in values if v is not None]),
    Operation.SUM: lambda values: sum([v for v in values if v is not None]),
    Operation.DISTINCT: lambda values: len({v for v in values if v is not None}),
}


def _is_there(values: Sequence[Any]) -> Integers:
    return [0 if v is None else 1 for v in values]


_ALONE: dict[Operation, Callable[[Sequence[Any]], Integers]] = {
    Operation.COUNT: _is_there,
    Operation.SUM: lambda values: [0 if v is None else v for v in values],
    Operation.DISTINCT: _is_there,
}
"""The same for every value alone."""
