"""What the request itself says: the inputs of its lines and the aggregates over its basket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from returnml.features.declarations import BasketAggregate, FeatureSet, InputKind, Operation, RequestInput
from returnml.features.windows import DAY_US, HOUR_US

_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday = 0

Columns = Mapping[str, Sequence[Any]]
Values = list[int | None]


class RequestPlan:
    """Evaluates the request inputs, then the basket aggregates, in declared order."""

    def __init__(self, feature_set: FeatureSet) -> None:
        self._inputs = [_input(declared) for declared in feature_set.request]
        self._baskets = [_basket(declared) for declared in feature_set.basket]

    def values(self, order: Columns, requested_at_us: int) -> list[Values]:
        """One list for each input and aggregate: an integer or None for each line.

        Raises:
            KeyError: naming a column that is absent.
        """
        lines = len(next(iter(order.values())))
        inputs = [read(order, requested_at_us, lines) for read in self._inputs]
        return inputs + [read(order, lines) for read in self._baskets]


def _input(declared: RequestInput) -> Callable[[Columns, int, int], Values]:
    column = declared.column or ""
    if declared.kind is InputKind.INTEGER:
        return lambda order, _, __: list(order[column])
    if declared.kind is InputKind.PRESENT:
        return lambda order, _, __: [int(value is not None) for value in order[column]]
    if declared.kind is InputKind.HOUR_OF_DAY:
        return lambda _, at_us, lines: [at_us % DAY_US // HOUR_US] * lines
    return lambda _, at_us, lines: [(at_us // DAY_US + _EPOCH_WEEKDAY) % 7] * lines


def _basket(declared: BasketAggregate) -> Callable[[Columns, int], Values]:
    reduce = _REDUCE[declared.operation]
    column = declared.column

    def whole(order: Columns, lines: int) -> Values:
        return [reduce(range(lines) if column is None else order[column])] * lines

    def by(order: Columns, lines: int) -> Values:
        values: Sequence[Any] = range(lines) if column is None else order[column]
        same = list(zip(*(order[c] for c in declared.by), strict=True))
        members: dict[tuple, list] = {}
        for key, value in zip(same, values, strict=True):
            members.setdefault(key, []).append(value)
        reduced = {key: None if None in key else reduce(group) for key, group in members.items()}
        return [reduced[key] for key in same]

    return by if declared.by else whole


_REDUCE: dict[Operation, Callable[[Sequence[Any]], int]] = {
    Operation.COUNT: lambda values: sum(v is not None for v in values),
    Operation.SUM: lambda values: sum(v for v in values if v is not None),
    Operation.DISTINCT: lambda values: len({v for v in values if v is not None}),
}
