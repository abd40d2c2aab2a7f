"""Builds ``features.tiles_<group>``: running totals per key and day, in partitions by known day.

The same SQL builds one day or the whole history; building day by day gives the same rows as one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from returnml.features.declarations import KeyGroup
from returnml.features.sql.duckdb import DUCKDB
from returnml.features.sql.tile_totals import (
    RUNNING,
    create_table,
    day_counts,
    is_checkpoint,
    rows_to_write,
    running_statement,
    tile_columns,
    width_check,
)
from returnml.sql import literal
from returnml.warehouse.features.feature_errors import (
    FeatureError,
    StaleTilesError,
    check_widths,
)
from returnml.warehouse.features.tile_chain import (
    ONE_DAY,
    TileChain,
    read_chain,
)
from returnml.warehouse.ingest.currency import check_one_currency
from returnml.warehouse.partition import replace_partition, transaction
from returnml.warehouse.tables import column_types


@dataclass(frozen=True)
class TilesReport:
    """What was written.

    Attributes:
        checkpoints: those of the days that carry every key's totals forward.
        stale: later days that were built on other tiles than are there now: backfill them.
    """

    table: str
    first: date
    last: date
    rows: int
    content_hash: str
    checkpoints: tuple[date, ...]
    stale: tuple[date, ...]


def build_tiles(con: duckdb.DuckDBPyConnection, group: KeyGroup, first: date, last: date) -> TilesReport:
    """Write the tile partitions of the days ``first`` to ``last`` (inclusive), all or none.

    Raises:
        StaleTilesError: where the days before are missing or stale; the message names the days to backfill.
        FeatureError: where a value or a total exceeds its bits.
        MixedCurrencies: where amounts of several currencies would be added.
    """
    if last < first:
        raise ValueError(f"{group.tile_table}: last day {last} before first day {first}")
    check_one_currency(con)
    con.execute("CREATE SCHEMA IF NOT EXISTS features")
    chain = read_chain(con, group)
    chain = _prepare_table(con, group, chain)
    for stream in group.streams:
        check_widths(stream, con.execute(width_check(DUCKDB, stream, first, last)).fetchone() or ())
    if any(day < first for day in chain.days):
        chain.require(first)
    else:
        _check_start(con, group, first)
    before, since, checkpoint_rows = chain.checkpoints(first)
    is_complete = last > first or is_checkpoint(since, checkpoint_rows)
    base_from = before[-1] if before else None
    try:
        con.execute(running_statement(DUCKDB, group, first, last, base_from, is_complete))
    except duckdb.ConversionException as error:
        raise FeatureError(f"{group.tile_table}: a running total exceeds 64 bits: {error}") from error
    days = _choose_checkpoints(con, first, last, since, checkpoint_rows)
    with transaction(con):
        rows = rows_to_write(DUCKDB, group, first, days, last)
        result = replace_partition(con, group.tile_table, first, last, rows, day_column="day")
        previous = chain.days[first - ONE_DAY].content_hash if first - ONE_DAY in chain.days else ""
        records = []
        for day in result.days:
            records.append((chain.inputs_hash(day.day, previous), group.tile_table, day.day))
            previous = day.content_hash
        _record_inputs(con, records)
    con.execute(f"DROP TABLE {RUNNING}")
    chain = read_chain(con, group)
    stale = chain.stale_from()
    later = tuple(d for d in chain.days if stale is not None and d >= stale)
    return TilesReport(group.tile_table, first, last, result.rows, result.content_hash, tuple(days), later)


def _record_inputs(con: duckdb.DuckDBPyConnection, records: list[tuple[str, str, date]]) -> None:
    values = ", ".join("(?, ?, ?::DATE)" for _ in records)
    con.execute(
        f"UPDATE ops.partitions AS p SET inputs_hash = v.inputs FROM (VALUES {values}) AS v(inputs, table_name, day) "
        "WHERE p.table_name = v.table_name AND p.day = v.day",
        [part for record in records for part in record],
    )


def _prepare_table(con: duckdb.DuckDBPyConnection, group: KeyGroup, chain: TileChain) -> TileChain:
    """Create the table; one with other columns is of other declarations and is replaced, to be built anew."""
    con.execute(create_table(DUCKDB, group))
    if column_types(con, group.tile_table) == tile_columns(DUCKDB, group):
        return chain
    with transaction(con):
        con.execute(f"DROP TABLE {group.tile_table}")
        con.execute("DELETE FROM ops.partitions WHERE table_name = ?", [group.tile_table])
        con.execute(create_table(DUCKDB, group))
    return read_chain(con, group)


def _check_start(con: duckdb.DuckDBPyConnection, group: KeyGroup, first: date) -> None:
    """The first partition must hold the whole history of its streams."""
    for stream in group.streams:
        row = con.execute(f"SELECT min(known_day) FROM {stream.table}").fetchone()
        if row and row[0] is not None and row[0] < first:
            raise StaleTilesError(
                f"{group.tile_table}: tiles would start at {first}, but {stream.table} starts at {row[0]}: "
                f"backfill {row[0]} to {first - ONE_DAY} first"
            )


def _choose_checkpoints(con: duckdb.DuckDBPyConnection, first: date, last: date, since: int, checkpoint_rows: int) -> list[date]:
    counts = {day: (rows, new) for day, rows, new in con.execute(day_counts(DUCKDB, first)).fetchall()}
    row = con.execute(f"SELECT count(*) FROM (SELECT 1 FROM {RUNNING} WHERE day < {literal(first)})").fetchone()
    keys = int(row[0]) if row else 0
    found = []
    day = first
    while day <= last:
        rows, new = counts.get(day, (0, 0))
        keys += new
        if is_checkpoint(since, checkpoint_rows):
            found.append(day)
            since, checkpoint_rows = 0, keys
        else:
            since += rows
        day += timedelta(days=1)
    return found
