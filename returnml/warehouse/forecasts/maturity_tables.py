"""``forecast.return_rates`` and ``forecast.returns``: as of the end of each day, what young cohorts and coming days will be.

A day's rows depend on what was known at its end alone: the same, whatever range they are written in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb
import polars as pl

from returnml.maturity.forecast import (
    forecast,
    outlook,
)
from returnml.maturity.intervals import (
    CALIBRATION_DAYS,
    Cells,
    past_coverage,
)
from returnml.maturity.nowcast import (
    nowcast,
    nowcast_cells,
)
from returnml.maturity.projection import (
    DELAY_COHORTS,
    days_needed,
    has_returns,
)
from returnml.settings import Settings
from returnml.warehouse.forecasts.run_off import (
    RunOffs,
    largest_groups,
    read_run_offs,
)
from returnml.warehouse.ingest.core_sql import FLAG_IS_OPEN
from returnml.warehouse.partition import PartitionResult, replace_partition
from returnml.warehouse.tables import Columns, ensure_tables, table_frame

RATES, RETURNS = "forecast.return_rates", "forecast.returns"
RATES_COLUMNS = {
    "day": "DATE",
    "product_group": "VARCHAR",
    "first_ordered_day": "DATE",
    "last_ordered_day": "DATE",
    "lines": "BIGINT",
    "returned": "BIGINT",
    "rate": "DOUBLE",
    "rate_low": "DOUBLE",
    "rate_high": "DOUBLE",
    "matures_on": "DATE",
}
RETURNS_COLUMNS = {
    "day": "DATE",
    "product_group": "VARCHAR",
    "forecast_day": "DATE",
    "lines": "DOUBLE",
    "lines_low": "DOUBLE",
    "lines_high": "DOUBLE",
    "pieces": "DOUBLE",
    "pieces_low": "DOUBLE",
    "pieces_high": "DOUBLE",
    "new_order_lines": "DOUBLE",
    "new_order_pieces": "DOUBLE",
}


@dataclass(frozen=True)
class MaturityReport:
    """What was written.

    Attributes:
        skipped: days without rows, as fewer days of orders lie before them than are needed.
        coverage: share of past forecasts (nominal 90%) that held the truth, as far as it was known at the end of the last
            day; NaN where there is none.
        judged: how many those were.
        latest: the last day's rows.
        without_times: order lines of these days whose shop has a flag and no return times: nothing is forecast of them.
    """

    partitions: PartitionResult
    skipped: int
    coverage: float
    judged: int
    latest: pl.DataFrame
    without_times: int


def build_return_rates(con: duckdb.DuckDBPyConnection, first: date, last: date, settings: Settings) -> MaturityReport:
    """Replace the days ``first`` to ``last`` of ``forecast.return_rates``: one row per young cohort.

    Args:
        con: the warehouse, with ``core.orders`` and ``core.returns``.
        settings: ``label`` and ``forecast`` are used.
    """
    return _build(con, RATES, RATES_COLUMNS, first, last, settings, _rates)


def build_returns_forecast(con: duckdb.DuckDBPyConnection, first: date, last: date, settings: Settings) -> MaturityReport:
    """Replace the days ``first`` to ``last`` of ``forecast.returns``: one row per coming day and product group, and one per
    coming day for the whole shop (``product_group`` null). Arguments as of ``build_return_rates``."""
    return _build(con, RETURNS, RETURNS_COLUMNS, first, last, settings, _returns)


_Rows = Callable[[int], list[tuple[Any, ...]]]


def _rates(tables: RunOffs, cut_offs: list[int]) -> tuple[Cells, _Rows]:
    cells = nowcast_cells(tables.label, cut_offs)

    def rows(cut_off: int) -> list[tuple[Any, ...]]:
        return [
            (
                tables.day(cut_off - 1),
                row.group,
                tables.day(row.first),
                tables.day(row.last),
                row.lines,
                row.returned,
                row.rate,
                row.low,
                row.high,
                tables.day(row.last + tables.label.last_delay + 1),
            )
            for row in nowcast(tables.label, cells, cut_off)
        ]

    return cells, rows


def _returns(tables: RunOffs, cut_offs: list[int]) -> tuple[Cells, _Rows]:
    found = outlook(tables.volume, tables.pieces, cut_offs, tables.label.last_delay)

    def rows(cut_off: int) -> list[tuple[Any, ...]]:
        return [
            (
                tables.day(cut_off - 1),
                row.group,
                tables.day(row.day),
                row.lines,
                row.lines_low,
                row.lines_high,
                row.pieces,
                row.pieces_low,
                row.pieces_high,
                row.new_lines,
                row.new_pieces,
            )
            for row in forecast(tables.volume, found, cut_off)
        ]

    return found.lines, rows


def _build(
    con: duckdb.DuckDBPyConnection,
    table: str,
    columns: Columns,
    first: date,
    last: date,
    settings: Settings,
    prepare: Callable[[RunOffs, list[int]], tuple[Cells, _Rows]],
) -> MaturityReport:
    """Month by month, as the product groups that are told apart are chosen at the start of each."""
    label = settings.label
    maturity_days = label.window_days + label.grace_days
    needed = days_needed(maturity_days)
    (opened,) = con.execute("SELECT min(known_day) FROM core.orders").fetchall()[0]
    rows: list[tuple[Any, ...]] = []
    skipped, latest = 0, None
    for start, end in _months(first, last):
        reach = CALIBRATION_DAYS + DELAY_COHORTS + max(settings.forecast.longest_delay_days, maturity_days) + 1
        origin = max(opened or end, start - timedelta(days=reach))
        groups = largest_groups(con, start.replace(day=1), settings.forecast.product_groups)
        tables = read_run_offs(con, origin, end, groups, label, settings.forecast.longest_delay_days)
        first_cut_off, last_cut_off = (start - origin).days + 1, (end - origin).days + 1
        earliest = max(needed, first_cut_off - CALIBRATION_DAYS)
        able = [
            cut_off
            for cut_off in range(earliest, last_cut_off + 1)
            if has_returns(tables.label, cut_off) and has_returns(tables.volume, cut_off)
        ]
        written = [cut_off for cut_off in able if cut_off >= first_cut_off]
        skipped += (end - start).days + 1 - len(written)
        if written:
            cells, rows_of = prepare(tables, able)
            rows += [row for cut_off in written for row in rows_of(cut_off)]
            latest = cells, last_cut_off
    coverage, judged = past_coverage(*latest) if latest else (float("nan"), 0)
    ensure_tables(con, {table: columns})
    frame = table_frame(rows, columns)
    partitions = replace_partition(con, table, first, last, frame, day_column="day", inputs_hash=str((label, settings.forecast)))
    (without_times,) = con.execute(
        f"SELECT count(*) FROM core.orders WHERE known_day BETWEEN ? AND ? AND (is_returned IS NOT NULL OR {FLAG_IS_OPEN})",
        [first, last],
    ).fetchall()[0]
    return MaturityReport(partitions, skipped, coverage, judged, frame.filter(pl.col("day") == last), without_times)


def _months(first: date, last: date) -> Iterator[tuple[date, date]]:
    """The days ``first`` to ``last`` cut at the starts of months."""
    while first <= last:
        end = min(last, (first.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1))
        yield first, end
        first = end + timedelta(days=1)
