"""Mergeable-only windows (min, max, last, distinct), compiled to SQL over the events themselves.

They cannot be differences of totals. Events and moments of a key are put on one timeline of microseconds, and each
window is a RANGE frame that ends just before the moment's visible instant and starts at the window's edge. The start
differs by moment, so these are the only frames that are not constant.
"""

from __future__ import annotations

from returnml.features.declarations import Aggregate, Aggregation, KeyGroup, Operation, Stream
from returnml.features.sql.encoding import MERGEABLE, SPINE, events_table
from returnml.features.sql.engine import Engine
from returnml.features.sql.invertible import StreamClass
from returnml.features.sql.steps import Materialise, listed
from returnml.features.windows import Window


def mergeables(group: KeyGroup, stream: Stream) -> tuple[Aggregation, ...]:
    return tuple(a for a in group.aggregations if a.stream.name == stream.name and a.operation in MERGEABLE)


def mergeable_table(group: KeyGroup, stream: Stream) -> str:
    return f"pit_mergeable_{group.name}_{stream.name}"


def mergeable_step(engine: Engine, group: KeyGroup, stream: Stream, stream_class: StreamClass, key: str) -> Materialise:
    """The step that leaves ``mergeable_table``: ``mid`` and one column per aggregation and window.

    A frame that would start at or after the visible instant is empty; so is the frame of an event row, which is
    dropped.

    One key, one window. The key ordered for 50 on Monday at 10:00, for 9 and 20 on Tuesday at 9:00 and 11:00. ``1d`` begins at
    the midnight before the last one: a moment on Tuesday at 10:00 sees 50 and 9, one on Wednesday at 10:00 sees 9 and 20:

    >>> import duckdb
    >>> from returnml.features.sql.duckdb import DUCKDB
    >>> from returnml.features.sql.hops import DAY
    >>> orders = Stream("orders", "core.orders", {"cents": 30})
    >>> largest = Aggregation(orders, Operation.MAX, "cents", (Window.parse("1d"),))
    >>> group = KeyGroup("customer", ("customer_id",), (largest,))
    >>> step = mergeable_step(DUCKDB, group, orders, StreamClass("all", (orders,), "xe", (DAY,)), "k_customer_id")
    >>> con = duckdb.connect()
    >>> hour, monday = 3_600_000_000, 4 * 24
    >>> _ = con.execute("create table pit_events_orders as select unnest($1) as at_us, unnest([0, 1, 2]) as seq, "
    ...     "unnest([50, 9, 20]) as v_cents, 0 as k_customer_id", [[(monday + h) * hour for h in (10, 24 + 9, 24 + 11)]])
    >>> _ = con.execute("create table pit_spine as select unnest([0, 1]) as mid, unnest($1) as t, t as xe, 0 as k_customer_id",
    ...     [[(monday + h) * hour for h in (24 + 10, 48 + 10)]])
    >>> _ = con.execute(step.sql(DUCKDB))
    >>> con.execute("select mid, cents_max_1d from pit_mergeable_customer_orders order by mid").fetchall()
    [(0, 50), (1, 20)]
    """
    aggregations = mergeables(group, stream)
    values = [engine.quote(f"v_{c}") for c in dict.fromkeys(a.column for a in aggregations if a.column)]
    windows = {w.name: w for a in aggregations for w in a.windows}
    reach = {n: f"reach_{n}" for n, w in windows.items() if w.length_us is not None}
    until = stream_class.until
    event = [f"{key} as k", "at_us", "seq", f"{engine.as_integer('null')} as mid", *values]
    event += [f"{engine.as_integer('0')} as {r}" for r in reach.values()]
    moment = [key, until, engine.as_integer("null"), "mid", *(engine.as_integer("null") for _ in values)]
    moment += [
        f"greatest({until} - ({engine.divided('t', w.hop_us)} * {w.hop_us} - {w.length_us}), 0)"
        for n, w in windows.items()
        if n in reach
    ]
    selected = [f"{_value(engine, a)} over w_{w.name} as {_column(engine, a, w)}" for a in aggregations for w in a.windows]
    frames = [
        f"w_{n} as (partition by k order by at_us range between {reach.get(n, 'unbounded')} preceding and 1 preceding)"
        for n in windows
    ]
    query = f"""with probes as materialized (select distinct {key} as k from {SPINE} where {key} is not null),
timeline as (
  select {", ".join(event)}
  from {events_table(stream)} where {key} in (select k from probes)
  union all
  select {", ".join(moment)}
  from {SPINE} where {key} is not null),
valued as (
  select {listed(["mid", *selected], 4)}
  from timeline
  window {listed(frames, 4)})
select * from valued where mid is not null"""
    return Materialise(mergeable_table(group, stream), query)


def _column(engine: Engine, aggregation: Aggregation, window: Window) -> str:
    return engine.quote(f"{aggregation.column}_{aggregation.operation}_{window.name}")


def _value(engine: Engine, aggregation: Aggregation) -> str:
    value = engine.quote(f"v_{aggregation.column}")
    if aggregation.operation is Operation.LAST:
        return engine.latest(value, "seq")
    if aggregation.operation is Operation.DISTINCT:
        return f"count(distinct {value})"
    return f"{aggregation.operation}({value})"


def mergeable_expression(engine: Engine, aggregate: Aggregate, table: str) -> str:
    """The value of one aggregate, read from its table (null where the key is null)."""
    return f"{table}.{_column(engine, aggregate.aggregation, aggregate.window)}"
