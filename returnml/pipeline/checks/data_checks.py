"""Checks of the ledger's events, raw and core tables, and outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from returnml.contracts.columns import RETURNS, DeliveredStream
from returnml.pipeline.checks import (
    result,
    spec,
)
from returnml.settings import QualitySettings
from returnml.sql import quoted

if TYPE_CHECKING:
    import duckdb

    from returnml.warehouse.ingest.raw_events import EventsReport
    from returnml.warehouse.ingest.raw_streams import IngestReport
    from returnml.warehouse.ingest.validate import CoreReport


EVENTS_SPECS = [spec("raw_events", "no_gaps", "The ledger has every position between the first and the last of these days.")]


def events_results(report: EventsReport) -> list[dg.AssetCheckResult]:
    return [result("raw_events", "no_gaps", not report.missing, {"missing": report.missing})]


def raw_specs(asset: str) -> list[dg.AssetCheckSpec]:
    return [
        spec(asset, "files_readable", "Every landing file of these days could be read.", blocking=False),
        spec(
            asset, "columns_declared", "No file brings columns that the stream does not declare.", blocking=False, kind="notice"
        ),
    ]


def raw_results(asset: str, report: IngestReport) -> list[dg.AssetCheckResult]:
    refused = [str(file) for file in report.refused]
    return [
        result(asset, "files_readable", not refused, {"refused": len(refused), "files": refused[:50]}, warn=True),
        result(asset, "columns_declared", not report.added_columns, {"added": report.added_columns}, warn=True),
    ]


def core_specs(asset: str) -> list[dg.AssetCheckSpec]:
    return [
        spec(asset, "in_equals_good_plus_quarantined", "Every raw row is validated or in quarantine, none is in both."),
        spec(asset, "contract_holds", "The written rows meet the validated contract (pandera)."),
        spec(
            asset,
            "quarantine_is_small",
            "At most `quality.max_quarantined_share` of the landed rows are refused; more is a broken delivery.",
        ),
    ]


def core_results(
    asset: str,
    stream: DeliveredStream,
    con: duckdb.DuckDBPyConnection,
    first: date,
    last: date,
    report: CoreReport,
    quality: QualitySettings,
) -> list[dg.AssetCheckResult]:
    """Counts are taken from the tables again, not from the report that is checked.

    Refused events are no broken delivery: their sender was told at once, and must not be able to stop the line.
    """
    days = [first, last]
    raw, good, bad = (
        _count(con, f"SELECT count(*) FROM {schema}.{stream.name} WHERE known_day BETWEEN ? AND ?", days)
        for schema in ("raw", "core", "quarantine")
    )
    if stream is RETURNS:  # an orphan that met its line has a second row
        good -= _count(con, "SELECT count(*) FROM core.returns WHERE is_link AND known_day BETWEEN ? AND ?", days)
    counted = {"raw": raw, "good": good, "quarantined": bad}
    broken = contract_failures(stream, con, first, last)
    landed, refused = (
        _count(con, f"SELECT count(*) FROM {schema}.{stream.name} WHERE known_day BETWEEN ? AND ? AND ledger_seq IS NULL", days)
        for schema in ("raw", "quarantine")
    )
    share = refused / landed if landed else 0.0
    return [
        result(asset, "in_equals_good_plus_quarantined", raw == good + bad == report.rows_in, counted),
        result(asset, "contract_holds", not broken, {"broken": broken}),
        result(asset, "quarantine_is_small", share <= quality.max_quarantined_share, {"share": share, **report.by_rule}),
    ]


def contract_failures(stream: DeliveredStream, con: duckdb.DuckDBPyConnection, first: date, last: date) -> list[str]:
    """Rules of the validated contract that rows of these days of the core table break."""
    from returnml.contracts.validated import needed_columns, row_failures

    absent = {"uncast", "is_imported", "is_goods"}
    columns = quoted(name for name in needed_columns(stream) if name not in absent)
    rows = con.sql(f"SELECT {columns} FROM core.{stream.name} WHERE known_day BETWEEN ? AND ?", params=[first, last])
    return sorted(row_failures(stream, rows.pl())["rule"].unique().to_list())


OUTCOMES_SPECS = [
    spec("outcomes", "one_per_line", "A line has at most one outcome."),
    spec("outcomes", "mature_when_known", "No outcome is known before its line is mature."),
]


def outcomes_results(con: duckdb.DuckDBPyConnection, first: date, last: date) -> list[dg.AssetCheckResult]:
    days = [first, last]
    twice = _count(
        con,
        "SELECT count(*) FROM core.outcomes o WHERE known_day BETWEEN ? AND ? AND EXISTS "
        "(SELECT 1 FROM core.outcomes p WHERE p.line_id = o.line_id AND p.known_day <> o.known_day)",
        days,
    ) + _count(con, "SELECT count(*) - count(DISTINCT line_id) FROM core.outcomes WHERE known_day BETWEEN ? AND ?", days)
    young = _count(con, "SELECT count(*) FROM core.outcomes WHERE known_day BETWEEN ? AND ? AND mature_at > known_at", days)
    return [
        result("outcomes", "one_per_line", twice == 0, {"lines_twice": twice}),
        result("outcomes", "mature_when_known", young == 0, {"young": young}),
    ]


def _count(con: duckdb.DuckDBPyConnection, sql: str, params: Sequence[object]) -> int:
    return int(con.execute(sql, list(params)).fetchall()[0][0])
