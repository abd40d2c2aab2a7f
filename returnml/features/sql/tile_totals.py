"""Tiles compiled to SQL: a key group's running totals per key and day.

A row of ``features.tiles_<group>`` holds, for one key and one day on which the key had an event in any of the group's
streams, every measure's total over all events *through the end of that day*. A *checkpoint* day has a row for every
key seen so far, totals carried forward, so that a key's last row before any day lies in a bounded number of
partitions. Totals are 64-bit integers, checked; sums of squares are wide ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import date

from returnml.features.declarations import KeyGroup, Operation, Stream
from returnml.features.sql.engine import Engine
from returnml.features.sql.measures import Measure, measures_of

CHECKPOINT_FACTOR = 2
"""A day is a checkpoint once the rows since the last one are this many times that one's rows."""

RUNNING = "pit_tile_rows"
"""The temporary table of a build: the rows of its days, and the last rows before them (``day`` before the first)."""


def last_streams(group: KeyGroup) -> tuple[str, ...]:
    """Streams whose last ``known_at`` the group needs."""
    return tuple(dict.fromkeys(a.stream.name for a in group.aggregations if a.operation is Operation.SINCE_LAST))


def last_column(stream: str) -> str:
    return f"{stream}_last_known_at"


def tile_columns(engine: Engine, group: KeyGroup) -> dict[str, str]:
    """The tile table's columns with their types, in order.

    >>> from returnml.features.sets.order_line import GROUPS
    >>> from returnml.features.sql.duckdb import DUCKDB
    >>> list(tile_columns(DUCKDB, GROUPS[2]))
    ['day', 'article_id', 'size', 'orders_count', 'returns_count', 'outcomes_count', 'outcomes_returned_sum']
    """
    columns = {"day": "DATE", **dict.fromkeys(group.keys, "VARCHAR")}
    for m in measures_of(group):
        columns[m.name] = engine.wide if m.operation is Operation.SUM_OF_SQUARES else engine.integer
    return columns | {last_column(s): "TIMESTAMP" for s in last_streams(group)}


def declaration_hash(engine: Engine, group: KeyGroup) -> str:
    """What decides a group's tiles besides its data; another hash means that they must be rebuilt."""
    streams = {s.name: [s.table, s.is_derived] for s in group.streams}
    data = [group.keys, list(tile_columns(engine, group).items()), streams, CHECKPOINT_FACTOR]
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def create_table(engine: Engine, group: KeyGroup) -> str:
    columns = ", ".join(f"{engine.quote(n)} {t}" for n, t in tile_columns(engine, group).items())
    return f"create table if not exists {group.tile_table} ({columns})"


def width_check(engine: Engine, stream: Stream, first: date, last: date) -> str:
    """One row: for each column, the largest magnitude in the days (null without events)."""
    values = ", ".join(f"max(abs({engine.as_wide(engine.quote(c))}))" for c in stream.columns)
    return f"select {values or 'null'} from {stream.table} where known_day between {engine.day(first)} and {engine.day(last)}"


def running_statement(
    engine: Engine, group: KeyGroup, first: date, last: date, base_from: date | None, is_base_complete: bool
) -> str:
    """The statement that leaves ``RUNNING``: totals per key and day, and whether the key is new on that day.

    Args:
        base_from: the last checkpoint before ``first``; totals continue from the rows since then. None: no history.
        is_base_complete: keep the last earlier row of every key, not only of the keys with events in the days.
    """
    keys = [engine.quote(k) for k in group.keys]
    measures = list(measures_of(group))
    lasts = [engine.quote(last_column(s)) for s in last_streams(group)]
    names = [*(engine.quote(m.name) for m in measures), *lasts]
    daily = " union all ".join(_daily(engine, group, s, measures, first, last) for s in group.streams)
    total = [*(f"sum({engine.quote(m.name)}) as {engine.quote(m.name)}" for m in measures), *(f"max({c}) as {c}" for c in lasts)]
    base = ""
    if base_from is not None:
        latest = ", ".join(f"arg_max_null({n}, day) as {n}" for n in names)
        only = "" if is_base_complete else f" semi join daily using ({', '.join(keys)})"
        rows = f"select * from {group.tile_table} where day >= {engine.day(base_from)} and day < {engine.day(first)}"
        base = (
            f" union all by name select {', '.join(keys)}, max(day) as day, {latest} from ({rows}) as t{only} "
            f"group by {', '.join(keys)}"
        )
    running = [*(f"sum({engine.quote(m.name)}) over so_far as {engine.quote(m.name)}" for m in measures)]
    running += [f"max({c}) over so_far as {c}" for c in lasts]
    types = tile_columns(engine, group)
    checked = ", ".join(f"{engine.cast(engine.quote(n), t)} as {engine.quote(n)}" for n, t in types.items())
    partition = f"partition by {', '.join(keys)} order by day"
    query = f"""with parts as ({daily}),
daily as (select day, {", ".join([*keys, *total])} from parts group by day, {", ".join(keys)}),
timeline as (select * from daily{base}),
running as (select day, {", ".join([*keys, *running])}, lead(day) over key_days as next_day,
    row_number() over key_days = 1 as is_first
  from timeline window so_far as ({partition} rows unbounded preceding), key_days as ({partition}))
select {checked}, next_day, is_first and day >= {engine.day(first)} as is_new from running"""
    return engine.materialise(RUNNING, query)


def _daily(engine: Engine, group: KeyGroup, stream: Stream, measures: Sequence[Measure], first: date, last: date) -> str:
    """One stream's totals per key and day; 0 for the other streams' measures."""
    keys = [engine.quote(k) for k in group.keys]
    no_total, no_instant = engine.wide_literal(0), engine.cast("null", "TIMESTAMP")
    named = {m.name: _daily_value(engine, m) if m.stream == stream.name else no_total for m in measures}
    named |= {last_column(s): "max(known_at)" if s == stream.name else no_instant for s in last_streams(group)}
    values = [f"{value} as {engine.quote(name)}" for name, value in named.items()]
    where = " and ".join(
        [f"known_day between {engine.day(first)} and {engine.day(last)}", *(f"{engine.quote(k)} is not null" for k in group.keys)]
    )
    return (
        f"select known_day as day, {', '.join([*keys, *values])} from {stream.table} where {where} "
        f"group by known_day, {', '.join(keys)}"
    )


def _daily_value(engine: Engine, measure: Measure) -> str:
    if measure.operation is Operation.COUNT:
        return engine.cast("count(*)", engine.wide)
    value = engine.as_wide(engine.quote(measure.column or ""))
    return f"coalesce(sum({value} * {value if measure.operation is Operation.SUM_OF_SQUARES else 1}), 0)"


def day_counts(engine: Engine, first: date) -> str:
    """``day, rows, new keys`` of the build's own days."""
    return f"select day, count(*), count(*) filter (where is_new) from {RUNNING} where day >= {engine.day(first)} group by day"


def rows_to_write(engine: Engine, group: KeyGroup, first: date, checkpoints: Iterable[date], last: date) -> str:
    """The partitions' rows: the build's own and, on checkpoint days, those carried forward; in the order of days."""
    names = [engine.quote(n) for n in tile_columns(engine, group) if n != "day"]
    own = f"select day, {', '.join(names)} from {RUNNING} where day >= {engine.day(first)}"
    days = ", ".join(f"({engine.day(d)})" for d in checkpoints)
    if days:
        own += (
            f" union all select c.day, {', '.join('r.' + n for n in names)} from {RUNNING} as r "
            f"join (values {days}) as c(day) on c.day > r.day and c.day < coalesce(r.next_day, {engine.day(last)} + 1)"
        )
    return f"select * from ({own}) order by day"


def is_checkpoint(rows_since: int, checkpoint_rows: int) -> bool:
    """Whether the next day is a checkpoint, from the rows since the last one and that one's rows.

    >>> [is_checkpoint(0, 0), is_checkpoint(10, 10), is_checkpoint(20, 10)]
    [True, False, True]
    """
    return rows_since >= CHECKPOINT_FACTOR * checkpoint_rows
