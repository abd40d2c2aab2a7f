"""Request inputs and basket aggregates, compiled to SQL over the encoded spine.

A basket is the lines of one request: the spine's rows that share ``order_id`` and ``requested_at``. A spine that is to
yield basket aggregates therefore holds whole requests. Null values are ignored; a null ``by`` value has no basket
(null), a sum over nothing is 0.
"""

from __future__ import annotations

from returnml.features.declarations import BasketAggregate, FeatureDeclarations, InputKind, Operation, RequestInput
from returnml.features.sql.dialect import (
    micros,
    quote,
    text_code,
)
from returnml.features.sql.fit_expressions import (
    letter_size,
    number_size,
)
from returnml.features.sql.spine import SPINE
from returnml.features.text_codes import SHORT_DIGITS
from returnml.features.windows import DAY_US, EPOCH_WEEKDAY, HOUR_US


def carried_columns(feature_set: FeatureDeclarations) -> tuple[str, ...]:
    """Spine columns that request inputs and basket aggregates read."""
    found = [r.column for r in feature_set.request if r.column]
    for b in feature_set.basket:
        found += [*b.by, *([b.column] if b.column else [])]
    return tuple(dict.fromkeys([*found, *(["order_id"] if feature_set.basket else [])]))


def request_expression(request: RequestInput) -> str:
    """One request input of the spine row ``s``, an integer or null."""
    if request.kind is InputKind.HOUR_OF_DAY:
        return f"(s.t % {DAY_US}) // {HOUR_US}"
    if request.kind is InputKind.DAY_OF_WEEK:
        return f"(s.d + {EPOCH_WEEKDAY}) % 7"
    column = f"s.{quote(request.column or '')}"
    if request.kind is InputKind.LETTER_SIZE:
        return letter_size(column)
    if request.kind is InputKind.NUMBER_SIZE:
        return number_size(column)
    if request.kind is InputKind.TEXT:
        return text_code(column, SHORT_DIGITS)
    if request.kind is InputKind.SINCE:
        return f"(s.t - {micros(column)})"
    return f"({column} is not null)::BIGINT" if request.kind is InputKind.PRESENT else f"{column}::BIGINT"


def basket_table(by: tuple[str, ...]) -> str:
    return "_".join(["pit_basket", *by])


def basket_bys(feature_set: FeatureDeclarations) -> tuple[tuple[str, ...], ...]:
    return tuple(dict.fromkeys(b.by for b in feature_set.basket))


def basket_statement(feature_set: FeatureDeclarations, by: tuple[str, ...]) -> str:
    """The statement that leaves ``basket_table(by)``: ``mid`` and one column per basket aggregate with that ``by``."""
    keys = ["order_id", "t", *(quote(c) for c in by)]
    values = ", ".join(f"{_aggregate(b)} as {quote(b.name)}" for b in feature_set.basket if b.by == by)
    where = " and ".join(f"{k} is not null" for k in keys)
    baskets = f"select {', '.join(keys)}, {values} from {SPINE} where {where} group by {', '.join(keys)}"
    names = ", ".join(f"b.{quote(b.name)}" for b in feature_set.basket if b.by == by)
    query = f"select s.mid, {names} from {SPINE} as s join ({baskets}) as b using ({', '.join(keys)})"
    return f"create or replace temp table {basket_table(by)} as {query}"


def _aggregate(basket: BasketAggregate) -> str:
    if basket.operation is Operation.COUNT:
        return "count(*)" if basket.column is None else f"count({quote(basket.column)})"
    if basket.operation is Operation.DISTINCT:
        return f"count(distinct {quote(basket.column or '')})"
    return f"coalesce(sum({quote(basket.column or '')}), 0)::BIGINT"
