"""The queries that measure, each one row, and what their rows say.

They ask the tables as they are stored, before any step of a plan has run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from returnml.features.declarations import KeyGroup, Operation, Stream
from returnml.features.sql.encoding import instants, stored_tiles
from returnml.features.sql.engine import Engine
from returnml.features.sql.hops import HOPS
from returnml.features.sql.measured import Extent, Interval, Moments
from returnml.features.sql.measures import Bound, Measure, measures_of
from returnml.instants import day_of

_ENDS = ("xe", "xd")


def moments_query(engine: Engine, spine: str, counted: Sequence[str]) -> str:
    """See ``moments_of``.

    Args:
        counted: the key columns whose values are counted.
    """
    keys = [engine.quote(c) for c in counted]
    asked = ["count(*)", *(f"{of}({at})" for at in ("t", *_ENDS) for of in ("min", "max")), "coalesce(bool_and(xe = xd), true)"]
    asked += [f"coalesce(bool_and({hop.number(engine, end)} = {hop.number(engine, 't')}), true)" for end in _ENDS for hop in HOPS]
    asked += [f"count(distinct {key})" for key in keys]
    return f"select {', '.join(asked)} from (select {', '.join([*instants(engine), *keys])} from {spine} as r)"


def moments_of(row: Sequence[Any], counted: Sequence[str]) -> Moments:
    rows, *at = row[:7]
    has_one_end, *rest = row[7:]
    aligned = [tuple(h for h, is_so in zip(HOPS, rest[i * len(HOPS) :], strict=False) if is_so) for i in range(len(_ENDS))]
    extent = None
    if rows:
        days = [day_of(us) for us in at]
        extent = Extent((days[0], days[1]), (days[2], days[3]), (days[4], days[5]))
    cardinalities = dict(zip(counted, rest[len(_ENDS) * len(HOPS) :], strict=True))
    return Moments(rows, extent, has_one_end, aligned[0], aligned[1], cardinalities)


def used_measures(stream: Stream, groups: Sequence[KeyGroup]) -> tuple[Measure, ...]:
    """The running totals of a stream that any group needs, in windows of any hop."""
    found = (m for group in groups for hop in HOPS for m in measures_of(group, hop))
    return tuple(dict.fromkeys(m for m in found if m.stream == stream.name))


def events_query(engine: Engine, stream: Stream, measures: Sequence[Measure], condition: str) -> str:
    """Of the events that are read: the largest magnitude of each column (null without a value), then see ``bounds_of``."""
    asked = [f"max(abs({_value(engine, c)}))" for c in stream.columns]
    for measure in measures:
        value = _value(engine, measure.column or "")
        if measure.operation is Operation.COUNT:
            asked.append("count(*)")
        elif measure.operation is Operation.SUM:
            asked += [f"coalesce(sum(abs({value})), 0)", f"coalesce(min({value}) < 0, false)"]
        else:
            asked.append(f"coalesce(sum({value} * {value}), 0)")
    return f"select {', '.join(asked) or 'null'} from {stream.table} as e where {condition}"


def bounds_of(measures: Sequence[Measure], row: Sequence[Any]) -> dict[Measure, Bound]:
    """Bounds on every total of some measures: no window holds more than all events.

    Args:
        row: of ``events_query``, without the columns' magnitudes.
    """
    found, values = {}, iter(row)
    for measure in measures:
        magnitude = int(next(values))
        found[measure] = Bound(magnitude, is_signed=measure.operation is Operation.SUM and bool(next(values)))
    return found


def tiles_query(engine: Engine, group: KeyGroup, intervals: Sequence[Interval]) -> str:
    """The largest magnitude of every stored total that is read."""
    asked = [f"coalesce(max(abs({engine.as_wide(engine.quote(m.name))})), 0)" for m in measures_of(group)]
    return f"select {', '.join(asked) or 'null'} from {stored_tiles(engine, group, intervals)} as t"


def tile_bounds_of(group: KeyGroup, row: Sequence[Any], heads: Mapping[Measure, Bound]) -> dict[Measure, Bound]:
    """Bounds on window values that are differences of stored totals plus a head."""
    return {m: Bound(2 * int(v) + heads[m].magnitude) for m, v in zip(measures_of(group), row, strict=False)}


def _value(engine: Engine, column: str) -> str:
    return engine.as_wide(f"e.{engine.quote(column)}")
