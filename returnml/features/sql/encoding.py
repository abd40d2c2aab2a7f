"""The first steps of a plan: instants as integers, keys as dense integers.

A *spine* is any relation of moments: ``moment_id, requested_at, visible_until, derived_until``, the key columns and
the request columns of the feature set. Keys are encoded once per column; a group's key is one integer composed of
its columns' codes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta

from returnml.features.declarations import KeyGroup, Operation, Stream
from returnml.features.sql.engine import Engine
from returnml.features.sql.hops import DAY, HOPS
from returnml.features.sql.measured import Extent, Interval
from returnml.features.sql.measures import measures_of
from returnml.features.sql.steps import Materialise, listed
from returnml.features.sql.tile_totals import last_column, last_streams
from returnml.features.windows import DAY_US

SPINE = "pit_spine"
MOMENT_COLUMNS = ("moment_id", "requested_at", "visible_until", "derived_until")
MERGEABLE = {Operation.MIN, Operation.MAX, Operation.LAST, Operation.DISTINCT}


def keys_table(column: str) -> str:
    return f"pit_keys_{column}"


def events_table(stream: Stream) -> str:
    return f"pit_events_{stream.name}"


def tiles_table(group: KeyGroup) -> str:
    """Where stored tiles that a spine may need are put: ``kd``, the measures, ``last_<stream>`` (us)."""
    return f"pit_tiles_{group.name}"


def encode_keys(engine: Engine, spine: str, column: str) -> Materialise:
    """The dictionary of one key column: the values that occur in the spine, numbered from 0."""
    name = engine.quote(column)
    query = f"""select value, {engine.row_numbers()} as code
from (select distinct {name} as value from {spine} as r where {name} is not null)"""
    return Materialise(keys_table(column), query)


def encode_spine(engine: Engine, spine: str, key_columns: Sequence[str], carried: Sequence[str]) -> Materialise:
    """The spine with a dense ``mid``, instants in microseconds, key codes ``k_<column>`` and the carried columns.

    ``xe`` and ``xd`` are the ends of what is visible of event streams and of derived streams, never after ``t``.
    """
    kept = [f"s.{engine.quote(c)}" for c in dict.fromkeys(["moment_id", *carried])]
    codes, joins = _codes(engine, key_columns, "s")
    read = [engine.quote(c) for c in dict.fromkeys(["moment_id", *carried, *key_columns])]
    query = f"""select s.mid, s.t, s.xe, s.xd,
  {listed([*kept, *codes])}
from (
  select {engine.row_numbers()} as mid,
    {listed(instants(engine), 4)},
    {", ".join(read)}
  from {spine} as r) as s{_lines(joins)}"""
    return Materialise(SPINE, query)


def instants(engine: Engine) -> list[str]:
    """``t``, ``xe`` and ``xd`` of the rows of a spine that is not encoded."""
    ends = {"xe": "visible_until", "xd": "derived_until"}
    at = engine.micros("requested_at")
    return [f"{at} as t", *(f"least({at}, {engine.micros(until)}) as {name}" for name, until in ends.items())]


def encode_events(
    engine: Engine, stream: Stream, key_columns: Sequence[str], columns: Iterable[str], condition: str
) -> Materialise:
    """A stream's events: ``at_us``, ``seq``, key codes ``k_<column>``, values ``v_<column>`` (of texts their codes)."""
    codes, joins = _codes(engine, key_columns, "e")
    values = [
        f"{engine.text_code(f'e.{engine.quote(c)}') if c in stream.texts else f'e.{engine.quote(c)}'} as {engine.quote('v_' + c)}"
        for c in columns
    ]
    query = f"""select {engine.micros("e.known_at")} as at_us, e.seq,
  {listed([*codes, *values])}
from {stream.table} as e{_lines(joins)}
where {condition}"""
    return Materialise(events_table(stream), query)


def events_condition(
    engine: Engine, stream: Stream, groups: Sequence[KeyGroup], tiled: Collection[str], extent: Extent | None
) -> str:
    """Which events are read: all for totals without tiles; else the days of the heads, and those that windows which are
    read from events (mergeable ones, and those in minutes and hours) reach.

    Args:
        tiled: names of the groups that are read from stored tiles.
    """
    if extent is None:
        return "false"
    first, last = extent.until(stream)
    upper = f"e.known_day <= {engine.day(last)}"
    for group in groups:
        for aggregation in group.aggregations:
            if aggregation.stream.name != stream.name:
                continue
            for window in aggregation.windows:
                has_totals = aggregation.operation not in MERGEABLE and window.hop_us == DAY_US
                if has_totals and group.name in tiled:
                    continue
                if has_totals or window.length_us is None:
                    return upper
                first = min(first, extent.requested[0] - timedelta(days=-(-window.length_us // DAY_US)))
    return f"e.known_day >= {engine.day(first)} and {upper}"


def encode_tiles(engine: Engine, group: KeyGroup, key: str, intervals: Sequence[Interval]) -> Materialise:
    """A group's stored tiles of the given days whose keys occur in the spine, keys encoded."""
    codes, joins = _codes(engine, group.keys, "t", "join")
    values = [engine.quote(m.name) for m in measures_of(group)]
    values += [f"{engine.micros(last_column(s))} as last_{s}" for s in last_streams(group)]
    only_own = f"\nwhere {key} in (select {key} from {SPINE})" if len(group.keys) > 1 else ""
    kd = DAY.combined(key, engine.day_number("day"))
    query = f"""select {", ".join([f"{kd} as kd", *values])}
from (select t.*, {", ".join(codes)} from {stored_tiles(engine, group, intervals)} as t{_lines(joins)}){only_own}"""
    return Materialise(tiles_table(group), query)


def stored_tiles(engine: Engine, group: KeyGroup, intervals: Sequence[Interval]) -> str:
    """A parenthesised query: the rows of a tile table of the given days."""
    scans = [
        f"select * from {group.tile_table} where day >= {engine.day(first)} and day < {engine.day(end)}"
        for first, end in intervals
    ]
    return f"({' union all '.join(scans) or f'select * from {group.tile_table} where false'})"


def group_key(engine: Engine, group: KeyGroup, cardinalities: Mapping[str, int]) -> str:
    """A group's key as one integer expression over the codes (null where any part is null).

    Args:
        cardinalities: of each of its columns, where it has several. One code alone has room up to 2**37 moments.
    """
    if len(group.keys) == 1:
        return engine.quote("k_" + group.keys[0])
    expression, code, total = "", "", 1
    for column in group.keys:
        code = engine.quote("k_" + column)
        values = max(cardinalities[column], 1)
        expression = f"({expression} * {values} + {code})" if expression else code
        total *= values
    bits = max([DAY.bits, *(hop.bits for hop in HOPS if measures_of(group, hop))])
    return expression if total < 1 << (62 - bits) else f"({expression.replace(code, engine.as_wide(code), 1)})"


def _codes(engine: Engine, columns: Iterable[str], alias: str, join: str = "left join") -> tuple[list[str], list[str]]:
    """The codes of key columns, and the joins with their dictionaries."""
    codes = [f"{keys_table(c)}.code as {engine.quote('k_' + c)}" for c in columns]
    joins = [f"{join} {keys_table(c)} on {keys_table(c)}.value = {alias}.{engine.quote(c)}" for c in columns]
    return codes, joins


def _lines(parts: Iterable[str]) -> str:
    return "".join(f"\n{part}" for part in parts)
