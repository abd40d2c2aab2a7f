"""Request inputs and basket aggregates, compiled to SQL over the encoded spine.

A basket is the lines of one request: the spine's rows that share ``order_id`` and ``requested_at``. A spine that is to
yield basket aggregates therefore holds whole requests. Null values are ignored; a null ``by`` value has no basket
(null), a sum over nothing is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from returnml.features.declarations import BasketAggregate, InputKind, Operation, RequestInput
from returnml.features.sql.encoding import SPINE
from returnml.features.sql.engine import Engine
from returnml.features.sql.fit_expressions import letter_size, number_size
from returnml.features.sql.steps import Materialise
from returnml.features.text_codes import SHORT_DIGITS
from returnml.features.windows import DAY_US, EPOCH_WEEKDAY, HOUR_US


def carried_columns(request: Sequence[RequestInput], basket: Sequence[BasketAggregate]) -> tuple[str, ...]:
    """Spine columns that request inputs and basket aggregates read."""
    found = [r.column for r in request if r.column]
    for b in basket:
        found += [*b.by, *([b.column] if b.column else [])]
    return tuple(dict.fromkeys([*found, *(["order_id"] if basket else [])]))


def request_expression(engine: Engine, request: RequestInput) -> str:
    """One request input of the spine row ``s``, an integer or null."""
    if request.kind is InputKind.HOUR_OF_DAY:
        return engine.divided(f"(s.t % {DAY_US})", HOUR_US)
    if request.kind is InputKind.DAY_OF_WEEK:
        return f"({engine.divided('s.t', DAY_US)} + {EPOCH_WEEKDAY}) % 7"
    column = f"s.{engine.quote(request.column or '')}"
    if request.kind is InputKind.LETTER_SIZE:
        return letter_size(engine, column)
    if request.kind is InputKind.NUMBER_SIZE:
        return number_size(engine, column)
    if request.kind is InputKind.TEXT:
        return engine.text_code(column, SHORT_DIGITS)
    if request.kind is InputKind.DAYS_SINCE:
        return f"({engine.divided('s.t', DAY_US)} - {column})"
    if request.kind is InputKind.SINCE:
        return f"(s.t - {engine.micros(column)})"
    return engine.as_integer(f"({column} is not null)" if request.kind is InputKind.PRESENT else column)


def basket_table(by: tuple[str, ...]) -> str:
    return "_".join(["pit_basket", *by])


def basket_step(engine: Engine, basket: Sequence[BasketAggregate], by: tuple[str, ...]) -> Materialise:
    """The step that leaves ``basket_table(by)``: ``mid`` and one column per basket aggregate with that ``by``."""
    own = [b for b in basket if b.by == by]
    keys = ["order_id", "t", *(engine.quote(c) for c in by)]
    values = ", ".join(f"{_aggregate(engine, b)} as {engine.quote(b.name)}" for b in own)
    query = f"""with baskets as (
  select {", ".join(keys)}, {values}
  from {SPINE} where {" and ".join(f"{k} is not null" for k in keys)} group by {", ".join(keys)})
select s.mid, {", ".join(f"b.{engine.quote(b.name)}" for b in own)}
from {SPINE} as s join baskets as b using ({", ".join(keys)})"""
    return Materialise(basket_table(by), query)


def basket_expression(engine: Engine, basket: BasketAggregate) -> str:
    """Its value, read from its table."""
    return f"{basket_table(basket.by)}.{engine.quote(basket.name)}"


def _aggregate(engine: Engine, basket: BasketAggregate) -> str:
    column = engine.quote(basket.column or "")
    if basket.operation is Operation.COUNT:
        return "count(*)" if basket.column is None else f"count({column})"
    if basket.operation is Operation.DISTINCT:
        return f"count(distinct {column})"
    return engine.as_integer(f"coalesce(sum({column}), 0)")
