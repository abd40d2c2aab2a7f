"""Runs the compiled window SQL on a DuckDB connection: every declared aggregate for any spine of moments.

Belongs here: the order of the statements and the measured bounds. The SQL text itself is compiled by
``returnml.features.sql``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from returnml.features.declarations import Aggregate, KeyGroup, Operation, Stream
from returnml.features.feature_set import FeatureSet
from returnml.features.sql.dialect import (
    DAY,
    HOPS,
    Hop,
    quote,
)
from returnml.features.sql.invertible import (
    GroupPlan,
    StreamClass,
    aggregate_expression,
    window_statements,
)
from returnml.features.sql.mergeable import (
    MERGEABLE,
    mergeable_expression,
    mergeable_statement,
    mergeable_table,
    mergeables,
)
from returnml.features.sql.packing import (
    LIMB_BITS,
    Bound,
    Measure,
    measures_of,
    plan_limbs,
)
from returnml.features.sql.spine import (
    MOMENT_COLUMNS,
    SPINE,
    encode_events,
    encode_keys,
    encode_spine,
    encode_tiles,
    events_statistics,
    events_table,
    group_key,
    keys_table,
    tiles_table,
)
from returnml.warehouse.features.feature_errors import (
    FeatureError,
    check_widths,
)
from returnml.warehouse.features.tile_source import (
    events_condition,
    spine_extent,
    tile_bounds,
    tile_chains,
    tile_intervals,
)
from returnml.warehouse.ingest.currency import check_one_currency


@dataclass
class Prepared:
    """What has been computed for one spine: the raw expressions and the tables that they read.

    Attributes:
        rows: moments in the spine.
        expressions: SQL per raw name, reading ``s`` (the encoded spine) and the joined tables.
        results: temporary tables with at most one row per ``mid``, each with the alias that expressions use.
        inputs: further temporary tables to drop when done.
    """

    rows: int
    expressions: dict[str, str] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)

    def relation(self, where: str = "true") -> str:
        """The FROM clause that joins the spine ``s`` with all results, for the rows that meet a condition on ``mid``."""
        joins = [
            f"left join (select * from {table} where {where}) as {alias} on {alias}.mid = s.mid"
            for table, alias in self.results.items()
        ]
        return f"from (select * from {SPINE} where {where}) as s {' '.join(joins)}"


def compute_windows(
    con: duckdb.DuckDBPyConnection,
    groups: FeatureSet | Sequence[KeyGroup],
    spine: str,
    into: str | None = None,
    from_tiles: bool | None = None,
) -> duckdb.DuckDBPyRelation:
    """Every declared aggregate of every moment of a spine, exact: BIGINT (or HUGEINT), null where missing.

    Args:
        groups: the declarations.
        spine: a table, view or parenthesised query with ``moment_id, requested_at, visible_until, derived_until`` and
            the key columns.
        into: a table to create (replaced if it exists) instead of a temporary one.
        from_tiles: read the stored running totals (True), or the streams alone (False). Default: each group's tiles
            where it has any. The values are the same; stored totals keep one day's cost independent of the history.

    Returns:
        The relation: ``moment_id`` and one column per aggregate, in declared order.

    Raises:
        FeatureError: where a column is absent, an instant is missing, or a value exceeds its declared bits.
        StaleTilesError: where the tiles to be read are missing or stale.
        MixedCurrencies: where amounts of several currencies would be added.
    """
    declared = groups.groups if isinstance(groups, FeatureSet) else tuple(groups)
    prepared = prepare(con, declared, spine, (), from_tiles)
    columns = ", ".join(f"{e} as {quote(n)}" for n, e in prepared.expressions.items())
    target = into or "pit_result"
    con.execute(
        f"create or replace {'' if into else 'temp '}table {target} as select s.moment_id, {columns} " + prepared.relation()
    )
    drop(con, prepared)
    return con.table(target)


def prepare(
    con: duckdb.DuckDBPyConnection,
    groups: Sequence[KeyGroup],
    spine: str,
    carried: Iterable[str],
    from_tiles: bool | None = None,
) -> Prepared:
    """Compute every window of a spine into temporary tables; see ``compute_windows``."""
    check_one_currency(con)
    key_columns = tuple(dict.fromkeys(k for g in groups for k in g.keys))
    _check_spine(con, spine, [*MOMENT_COLUMNS, *key_columns, *carried])
    cardinalities = {}
    for column in key_columns:
        con.execute(encode_keys(spine, column))
        cardinalities[column] = _one(con, f"select count(*) from {keys_table(column)}")[0]
    con.execute(encode_spine(spine, key_columns, tuple(carried)))
    prepared = Prepared(rows=_one(con, f"select count(*) from {SPINE}")[0])
    prepared.inputs += [SPINE, *(keys_table(c) for c in key_columns)]
    streams = {s.name: s for g in groups for s in g.streams}
    extent = spine_extent(con)
    chains = tile_chains(con, groups, extent, from_tiles)
    bounds: dict[Measure, Bound] = {}
    for stream in streams.values():
        needed = tuple(dict.fromkeys(k for g in groups if stream.name in {s.name for s in g.streams} for k in g.keys))
        texts = dict.fromkeys(a.column for g in groups for a in g.aggregations if a.stream.name == stream.name)
        used = tuple(column for column in texts if column in stream.texts)
        con.execute(encode_events(stream, needed, used, events_condition(stream, groups, chains, extent)))
        bounds |= _bounds(con, stream)
    classes = _stream_classes(con, tuple(streams.values()))
    for group in groups:
        key = group_key(group, cardinalities)
        day_bounds = bounds
        if group.name in chains:
            con.execute(encode_tiles(group, key, tile_intervals(group, chains[group.name], extent)))
            day_bounds = tile_bounds(con, group, bounds)
        for stream_class in classes:
            own = _of_group(stream_class, group)
            for hop in HOPS:
                own_bounds = day_bounds if hop is DAY else bounds
                _windows(con, group, own, hop, key, own_bounds, prepared, hop is DAY and group.name in chains)
            _mergeables(con, group, own, key, prepared)
        con.execute(f"drop table if exists {tiles_table(group)}")
    for stream in streams.values():
        con.execute(f"drop table {events_table(stream)}")
    order = [a.name for g in groups for a in g.aggregates()]
    prepared.expressions = {name: prepared.expressions[name] for name in order}
    return prepared


def _of_group(stream_class: StreamClass, group: KeyGroup) -> StreamClass:
    names = {s.name for s in group.streams}
    return replace(stream_class, streams=tuple(s for s in stream_class.streams if s.name in names))


def _windows(
    con: duckdb.DuckDBPyConnection,
    group: KeyGroup,
    own: StreamClass,
    hop: Hop,
    key: str,
    bounds: dict[Measure, Bound],
    prepared: Prepared,
    is_from_tiles: bool,
) -> None:
    """Compute one group's invertible aggregates and ``since_last`` over one class of streams and the windows of one hop."""
    names = {s.name for s in own.streams}
    aggregates = [
        a
        for a in group.aggregates()
        if a.aggregation.stream.name in names and a.window.hop_us == hop.us and a.aggregation.operation not in MERGEABLE
    ]
    if not aggregates:
        return
    measures = {m: w for m, w in measures_of(group, hop).items() if m.stream in names}
    lasts = tuple(dict.fromkeys(a.aggregation.stream.name for a in aggregates if a.aggregation.operation is Operation.SINCE_LAST))
    try:
        limbs = plan_limbs(measures, bounds)
    except OverflowError as error:
        raise FeatureError(f"group {group.name!r}: {error}") from error
    plan = GroupPlan(group, own, hop, key, limbs, lasts, is_from_tiles)
    for statement in window_statements(plan):
        con.execute(statement)
    prepared.results[plan.result] = plan.result
    for aggregate in aggregates:
        prepared.expressions[aggregate.name] = aggregate_expression(plan, aggregate, plan.result)


def _mergeables(con: duckdb.DuckDBPyConnection, group: KeyGroup, own: StreamClass, key: str, prepared: Prepared) -> None:
    for stream in own.streams:
        if mergeables(group, stream):
            con.execute(mergeable_statement(group, stream, own, key))
            table = mergeable_table(group, stream)
            prepared.results[table] = table
            for aggregate in _mergeable_aggregates(group, stream):
                prepared.expressions[aggregate.name] = mergeable_expression(aggregate, table)


def _mergeable_aggregates(group: KeyGroup, stream: Stream) -> list[Aggregate]:
    wanted = set(mergeables(group, stream))
    return [a for a in group.aggregates() if a.aggregation in wanted]


def _stream_classes(con: duckdb.DuckDBPyConnection, streams: Sequence[Stream]) -> list[StreamClass]:
    """One class where events and derived streams end at the same instant for every moment, else two."""
    ends = ("xe", "xd")
    aligned = [f"coalesce(bool_and({hop.number(x)} = {hop.number('t')}), true)" for x in ends for hop in HOPS]
    same, *found = _one(con, f"select coalesce(bool_and(xe = xd), true), {', '.join(aligned)} from {SPINE}")
    hops = {x: tuple(h for h, is_so in zip(HOPS, found[i * len(HOPS) :], strict=False) if is_so) for i, x in enumerate(ends)}
    if same:
        return [StreamClass("all", tuple(streams), "xe", hops["xe"])]
    events = StreamClass("events", tuple(s for s in streams if not s.is_derived), "xe", hops["xe"])
    derived = StreamClass("derived", tuple(s for s in streams if s.is_derived), "xd", hops["xd"])
    return [c for c in (events, derived) if c.streams]


def _bounds(con: duckdb.DuckDBPyConnection, stream: Stream) -> dict[Measure, Bound]:
    """Bounds on every total of a stream, from its data; single values are checked against their declared bits."""
    count, *rest = (int(v) for v in _one(con, events_statistics(stream)))
    bounds = {Measure(stream.name, Operation.COUNT, None): Bound(count, is_signed=False)}
    check_widths(stream, rest[::4])
    for i, column in enumerate(stream.columns):
        _, total, squares, least = rest[4 * i : 4 * i + 4]
        if squares.bit_length() > LIMB_BITS - 1:
            raise FeatureError(f"{stream.table}.{column}: the sum of squares {squares} exceeds {LIMB_BITS - 1} bits")
        bounds[Measure(stream.name, Operation.SUM, column)] = Bound(total, is_signed=least < 0)
        bounds[Measure(stream.name, Operation.SUM_OF_SQUARES, column)] = Bound(squares, is_signed=False)
    return bounds


def _check_spine(con: duckdb.DuckDBPyConnection, spine: str, needed: Sequence[str]) -> None:
    present = {row[0] for row in con.execute(f"describe select * from {spine} as r").fetchall()}
    missing = [c for c in dict.fromkeys(needed) if c not in present]
    if missing:
        raise FeatureError(f"spine {spine}: no column {missing[0]!r}")
    instants = ", ".join(f"count(*) filter (where {c} is null)" for c in MOMENT_COLUMNS)
    nulls = _one(con, f"select {instants}, min(requested_at) < timestamp '1971-01-01' from {spine} as r")
    for column, count in zip(MOMENT_COLUMNS, nulls, strict=False):
        if count:
            raise FeatureError(f"spine {spine}: {count} rows have no {column}")
    if nulls[-1]:
        raise FeatureError(f"spine {spine}: requested_at lies before 1971")


def _one(con: duckdb.DuckDBPyConnection, query: str) -> tuple:
    row = con.execute(query).fetchone()
    if row is None:
        raise FeatureError(f"no row: {query}")
    return row


def drop(con: duckdb.DuckDBPyConnection, prepared: Prepared) -> None:
    """Remove the temporary tables that ``prepare`` left."""
    for table in (*prepared.inputs, *prepared.results):
        con.execute(f"drop table if exists {table}")
