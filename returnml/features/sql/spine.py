"""SQL that prepares a spine and the streams for the window compiler: instants as integers, keys as dense integers.

A *spine* is any relation of moments: ``moment_id, requested_at, visible_until, derived_until``, the key columns and
the request columns of the feature set. Keys are encoded once per column; a group's key is one integer composed of
its columns' codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from returnml.features.declarations import KeyGroup, Stream
from returnml.features.sql.dialect import (
    DAY,
    HOPS,
    micros,
    quote,
    text_code,
    wide,
)
from returnml.features.sql.packing import measures_of
from returnml.features.sql.tile_totals import (
    last_column,
    last_streams,
)

SPINE = "pit_spine"
MOMENT_COLUMNS = ("moment_id", "requested_at", "visible_until", "derived_until")


def keys_table(column: str) -> str:
    return f"pit_keys_{column}"


def events_table(stream: Stream) -> str:
    return f"pit_events_{stream.name}"


def encode_keys(spine: str, column: str) -> str:
    """The dictionary of one key column: the values that occur in the spine, numbered from 0."""
    return (
        f"create or replace temp table {keys_table(column)} as select value, row_number() over () - 1 as code from "
        f"(select distinct {quote(column)} as value from {spine} as s where {quote(column)} is not null)"
    )


def encode_spine(spine: str, key_columns: Sequence[str], carried: Sequence[str]) -> str:
    """The spine with a dense ``mid``, instants in microseconds, key codes ``k_<column>`` and the carried columns.

    ``xe`` and ``xd`` are the ends of what is visible of event streams and of derived streams, never after ``t``.
    """
    codes = [f"{keys_table(c)}.code as {quote('k_' + c)}" for c in key_columns]
    joins = [f"left join {keys_table(c)} on {keys_table(c)}.value = s.{quote(c)}" for c in key_columns]
    columns = ["s.*", *(f"{DAY.number(at)} as {name}" for at, name in (("t", "d"), ("xe", "de"), ("xd", "dd"))), *codes]
    inner = (
        f"select row_number() over () - 1 as mid, {micros('requested_at')} as t, "
        f"least({micros('requested_at')}, {micros('visible_until')}) as xe, "
        f"least({micros('requested_at')}, {micros('derived_until')}) as xd, "
        f"{', '.join(quote(c) for c in dict.fromkeys(['moment_id', *carried, *key_columns]))} from {spine} as r"
    )
    return f"create or replace temp table {SPINE} as select {', '.join(columns)} from ({inner}) as s {' '.join(joins)}"


def encode_events(stream: Stream, key_columns: Sequence[str], texts: Sequence[str] = (), where: str = "true") -> str:
    """A stream's events: ``at_us``, ``seq``, key codes ``k_<column>``, values ``v_<column>``, of ``texts`` their codes."""
    codes = [f"{keys_table(c)}.code as {quote('k_' + c)}" for c in key_columns]
    joins = [f"left join {keys_table(c)} on {keys_table(c)}.value = e.{quote(c)}" for c in key_columns]
    values = [f"e.{quote(c)} as {quote('v_' + c)}" for c in stream.columns]
    values += [f"{text_code(f'e.{quote(c)}')} as {quote('v_' + c)}" for c in texts]
    columns = [f"{micros('e.known_at')} as at_us", "e.seq as seq", *codes, *values]
    return (
        f"create or replace temp table {events_table(stream)} as select {', '.join(columns)} "
        f"from {stream.table} as e {' '.join(joins)} where {where}"
    )


def encode_tiles(group: KeyGroup, key: str, intervals: Sequence[tuple[date, date]]) -> str:
    """A group's stored tiles of the given days (first, end exclusive) whose keys occur in the spine, keys encoded."""
    codes = [f"{keys_table(c)}.code as {quote('k_' + c)}" for c in group.keys]
    joins = [f"join {keys_table(c)} on {keys_table(c)}.value = t.{quote(c)}" for c in group.keys]
    scans = " union all ".join(
        f"select * from {group.tile_table} where day >= date '{first}' and day < date '{end}'" for first, end in intervals
    )
    scans = scans or f"select * from {group.tile_table} where false"
    values = [quote(m.name) for m in measures_of(group)]
    values += [f"{micros(last_column(s))} as last_{s}" for s in last_streams(group)]
    query = f"select t.*, {', '.join(codes)} from ({scans}) as t {' '.join(joins)}"
    semi = f" where {key} in (select {key} from {SPINE})" if len(group.keys) > 1 else ""
    kd = DAY.combined(key, "(day - date '1970-01-01')")
    return (
        f"create or replace temp table {tiles_table(group)} as select {', '.join([f'{kd} as kd', *values])} from ({query}){semi}"
    )


def tiles_table(group: KeyGroup) -> str:
    """Where stored tiles that a spine may need are put: ``kd``, the measures, ``last_<stream>`` (us)."""
    return f"pit_tiles_{group.name}"


def events_statistics(stream: Stream) -> str:
    """One row: events, then for each column the largest magnitude, the sums of magnitudes and squares, the least value."""
    parts = ["count(*)"]
    for column in stream.columns:
        value = wide(quote("v_" + column))
        parts += [f"coalesce(max(abs({value})), 0)", f"coalesce(sum(abs({value})), 0)"]
        parts += [f"coalesce(sum({value} * {value}), 0)", f"coalesce(min({value}), 0)"]
    return f"select {', '.join(parts)} from {events_table(stream)}"


def group_key(group: KeyGroup, cardinalities: Mapping[str, int]) -> str:
    """A group's key as one integer expression over the codes (null where any part is null)."""
    expression = ""
    for column in group.keys:
        code = quote("k_" + column)
        expression = f"({expression} * {max(cardinalities[column], 1)} + {code})" if expression else code
    total = 1
    for column in group.keys:
        total *= max(cardinalities[column], 1)
    bits = max([DAY.bits, *(hop.bits for hop in HOPS if measures_of(group, hop))])
    return expression if total < 1 << (62 - bits) else f"({expression.replace(code, wide(code), 1)})"
