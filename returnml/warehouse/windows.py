"""Runs the compiled window SQL on a DuckDB connection: every declared aggregate for any spine of moments.

Belongs here: the order of the statements and the measured bounds. The SQL text itself is compiled by
``returnml.features.sql_*``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import duckdb

from returnml.features.declarations import Aggregate, FeatureSet, KeyGroup, Operation, Stream
from returnml.features.sql_dialect import quote
from returnml.features.sql_layout import LIMB_BITS, Measure, measures_of, plan_limbs
from returnml.features.sql_mergeable import MERGEABLE, mergeable_expression, mergeable_statement, mergeable_table, mergeables
from returnml.features.sql_spine import (
    MOMENT_COLUMNS,
    SPINE,
    encode_events,
    encode_keys,
    encode_spine,
    events_statistics,
    events_table,
    group_key,
    is_batch_window,
    keys_table,
)
from returnml.features.sql_windows import GroupPlan, StreamClass, aggregate_expression, window_statements


class FeatureError(ValueError):
    """A spine, a declaration or data that features cannot be computed from; the message names it."""


@dataclass
class Prepared:
    """What has been computed for one spine: the raw expressions and the joins that read them.

    Attributes:
        rows: moments in the spine.
        expressions: SQL per raw name, reading ``s`` (the encoded spine) and the joined tables.
        joins: the joins, in order.
        tables: temporary tables to drop when done.
    """

    rows: int
    expressions: dict[str, str] = field(default_factory=dict)
    joins: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)


def compute_windows(
    con: duckdb.DuckDBPyConnection,
    groups: FeatureSet | Sequence[KeyGroup],
    spine: str,
    into: str | None = None,
) -> duckdb.DuckDBPyRelation:
    """Every declared aggregate of every moment of a spine, exact: BIGINT (or HUGEINT), null where missing.

    Args:
        groups: the declarations.
        spine: a table, view or parenthesised query with ``moment_id, requested_at, visible_until, derived_until`` and
            the key columns.
        into: a table to create (replaced if it exists) instead of a temporary one.

    Returns:
        The relation: ``moment_id`` and one column per aggregate, in declared order.

    Raises:
        FeatureError: where a column is absent, an instant is missing, or a value exceeds its declared bits.
    """
    declared = groups.groups if isinstance(groups, FeatureSet) else tuple(groups)
    prepared = prepare(con, declared, spine, ())
    columns = ", ".join(f"{e} as {quote(n)}" for n, e in prepared.expressions.items())
    target = into or "pit_result"
    con.execute(
        f"create or replace {'' if into else 'temp '}table {target} as select s.moment_id, {columns} "
        f"from {SPINE} as s {' '.join(prepared.joins)}"
    )
    drop(con, prepared)
    return con.table(target)


def prepare(con: duckdb.DuckDBPyConnection, groups: Sequence[KeyGroup], spine: str, carried: Iterable[str]) -> Prepared:
    for group in groups:
        for aggregation in group.aggregations:
            is_batch_window(aggregation)
    key_columns = tuple(dict.fromkeys(k for g in groups for k in g.keys))
    _check_spine(con, spine, [*MOMENT_COLUMNS, *key_columns, *carried])
    cardinalities = {}
    for column in key_columns:
        con.execute(encode_keys(spine, column))
        cardinalities[column] = _one(con, f"select count(*) from {keys_table(column)}")[0]
    con.execute(encode_spine(spine, key_columns, tuple(carried)))
    prepared = Prepared(rows=_one(con, f"select count(*) from {SPINE}")[0])
    prepared.tables += [SPINE, *(keys_table(c) for c in key_columns)]
    bounds: dict[Measure, int] = {}
    streams = {s.name: s for g in groups for s in g.streams}
    for stream in streams.values():
        needed = tuple(dict.fromkeys(k for g in groups if stream.name in {s.name for s in g.streams} for k in g.keys))
        con.execute(encode_events(stream, needed))
        prepared.tables.append(events_table(stream))
        bounds |= _bounds(con, stream)
    classes = _stream_classes(con, tuple(streams.values()))
    for group in groups:
        key = group_key(group, cardinalities)
        for stream_class in classes:
            _group(con, group, stream_class, key, bounds, prepared)
    order = [a.name for g in groups for a in g.aggregates()]
    prepared.expressions = {name: prepared.expressions[name] for name in order}
    return prepared


def _group(
    con: duckdb.DuckDBPyConnection,
    group: KeyGroup,
    stream_class: StreamClass,
    key: str,
    bounds: dict[Measure, int],
    prepared: Prepared,
) -> None:
    """Compute one group's aggregates over one class of streams."""
    names = {s.name for s in group.streams}
    own = StreamClass(
        stream_class.name,
        tuple(s for s in stream_class.streams if s.name in names),
        stream_class.until,
        stream_class.day,
        stream_class.is_aligned,
    )
    own_names = {s.name for s in own.streams}
    aggregates = [a for a in group.aggregates() if a.aggregation.stream.name in own_names]
    measures = {m: w for m, w in measures_of(group).items() if m.stream in own_names}
    lasts = tuple(dict.fromkeys(a.aggregation.stream.name for a in aggregates if a.aggregation.operation is Operation.SINCE_LAST))
    if measures or lasts:
        try:
            limbs = plan_limbs(measures, bounds)
        except OverflowError as error:
            raise FeatureError(f"group {group.name!r}: {error}") from error
        plan = GroupPlan(group, own, key, limbs, lasts)
        for statement in window_statements(plan):
            con.execute(statement)
        alias = f"w_{group.name}_{own.name}"
        prepared.joins.append(f"left join {plan.result} as {alias} on {alias}.mid = s.mid")
        prepared.tables.append(plan.result)
        for aggregate in aggregates:
            if aggregate.aggregation.operation not in MERGEABLE:
                prepared.expressions[aggregate.name] = aggregate_expression(plan, aggregate, alias)
    for stream in own.streams:
        if mergeables(group, stream):
            con.execute(mergeable_statement(group, stream, own, key))
            table = mergeable_table(group, stream)
            prepared.joins.append(f"left join {table} as {table} on {table}.mid = s.mid")
            prepared.tables.append(table)
            for aggregate in _mergeable_aggregates(group, stream):
                prepared.expressions[aggregate.name] = mergeable_expression(aggregate, table)


def _mergeable_aggregates(group: KeyGroup, stream: Stream) -> list[Aggregate]:
    wanted = set(mergeables(group, stream))
    return [a for a in group.aggregates() if a.aggregation in wanted]


def _stream_classes(con: duckdb.DuckDBPyConnection, streams: Sequence[Stream]) -> list[StreamClass]:
    """One class where events and derived streams end at the same instant for every moment, else two."""
    same, event_days, derived_days = _one(
        con,
        f"select coalesce(bool_and(xe = xd), true), coalesce(bool_and(de = d), true), coalesce(bool_and(dd = d), true) "
        f"from {SPINE}",
    )
    if same:
        return [StreamClass("all", tuple(streams), "xe", "de", event_days)]
    events = StreamClass("events", tuple(s for s in streams if not s.is_derived), "xe", "de", event_days)
    derived = StreamClass("derived", tuple(s for s in streams if s.is_derived), "xd", "dd", derived_days)
    return [c for c in (events, derived) if c.streams]


def _bounds(con: duckdb.DuckDBPyConnection, stream: Stream) -> dict[Measure, int]:
    """Bounds on every total of a stream, from its data; single values are checked against their declared bits."""
    count, *rest = (int(v) for v in _one(con, events_statistics(stream)))
    bounds = {Measure(stream.name, Operation.COUNT, None): count}
    for i, (column, bits) in enumerate(stream.columns.items()):
        largest, total, squares = rest[3 * i : 3 * i + 3]
        if largest.bit_length() > bits:
            raise FeatureError(f"{stream.table}.{column}: a value of magnitude {largest} exceeds the declared {bits} bits")
        if squares.bit_length() > LIMB_BITS - 1:
            raise FeatureError(f"{stream.table}.{column}: the sum of squares {squares} exceeds {LIMB_BITS - 1} bits")
        bounds[Measure(stream.name, Operation.SUM, column)] = total
        bounds[Measure(stream.name, Operation.SUM_OF_SQUARES, column)] = squares
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
    for table in prepared.tables:
        con.execute(f"drop table if exists {table}")
