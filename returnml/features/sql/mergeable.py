"""Mergeable-only windows (min, max, last, distinct), compiled to SQL over the events themselves.

They cannot be differences of totals. Events and moments of a key are put on one timeline of microseconds, and each
window is a RANGE frame that ends just before the moment's visible instant and starts at the window's edge. The start
differs by moment, so these are the only frames that are not constant.
"""

from __future__ import annotations

from returnml.features.declarations import Aggregate, Aggregation, KeyGroup, Operation, Stream
from returnml.features.sql.dialect import quote
from returnml.features.sql.invertible import StreamClass
from returnml.features.sql.spine import (
    SPINE,
    events_table,
)
from returnml.features.windows import Window

MERGEABLE = {Operation.MIN, Operation.MAX, Operation.LAST, Operation.DISTINCT}


def mergeables(group: KeyGroup, stream: Stream) -> tuple[Aggregation, ...]:
    return tuple(a for a in group.aggregations if a.stream.name == stream.name and a.operation in MERGEABLE)


def mergeable_table(group: KeyGroup, stream: Stream) -> str:
    return f"pit_mergeable_{group.name}_{stream.name}"


def mergeable_column(aggregation: Aggregation, window: Window) -> str:
    return quote(f"{aggregation.column}_{aggregation.operation}_{window.name}")


def mergeable_statement(group: KeyGroup, stream: Stream, stream_class: StreamClass, key: str) -> str:
    """The statement that leaves ``mergeable_table``: ``mid`` and one column per aggregation and window.

    A frame that would start at or after the visible instant is empty; so is the frame of an event row, which is
    dropped.
    """
    aggregations = mergeables(group, stream)
    columns = list(dict.fromkeys(a.column for a in aggregations if a.column))
    windows = {w.name: w for a in aggregations for w in a.windows}
    reach = {n: f"reach_{n}" for n, w in windows.items() if w.length_us is not None}
    event_values = ", ".join(f"{quote('v_' + c)}" for c in columns)
    moment_values = ", ".join(f"null::BIGINT as {quote('v_' + c)}" for c in columns)
    moment_reach = "".join(
        f", greatest({stream_class.until} - (t // {w.hop_us} * {w.hop_us} - {w.length_us}), 0) as {reach[n]}"
        for n, w in windows.items()
        if n in reach
    )
    event_reach = "".join(f", 0::BIGINT as {r}" for r in reach.values())
    selected = [f"{_value(a)} over w_{w.name} as {mergeable_column(a, w)}" for a in aggregations for w in a.windows]
    frames = ", ".join(
        f"w_{n} as (partition by k order by at_us range between {reach.get(n, 'unbounded')} preceding and 1 preceding)"
        for n in windows
    )
    return f"""create or replace temp table {mergeable_table(group, stream)} as
with probes as materialized (select distinct {key} as k from {SPINE} where {key} is not null),
timeline as (
  select {key} as k, at_us, seq, null::BIGINT as mid, {event_values}{event_reach} from {events_table(stream)}
  where {key} in (select k from probes)
  union all
  select {key}, {stream_class.until}, null::BIGINT, mid, {moment_values}{moment_reach} from {SPINE} where {key} is not null),
valued as (select mid, {", ".join(selected)} from timeline window {frames})
select * from valued where mid is not null"""


def _value(aggregation: Aggregation) -> str:
    value = quote(f"v_{aggregation.column}")
    if aggregation.operation is Operation.LAST:
        return f"arg_max({value}, seq)"
    if aggregation.operation is Operation.DISTINCT:
        return f"count(distinct {value})"
    return f"{aggregation.operation}({value})"


def mergeable_expression(aggregate: Aggregate, alias: str) -> str:
    """The value of one aggregate, read from its table as ``alias`` (null where the key is null)."""
    return f"{alias}.{mergeable_column(aggregate.aggregation, aggregate.window)}"
