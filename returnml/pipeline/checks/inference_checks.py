"""Checks of the inference log and of the proof that online equals batch."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from returnml.pipeline.checks import (
    result,
    spec,
)

if TYPE_CHECKING:
    import duckdb

    from returnml.warehouse.answers.recomputed_vectors import ConsistencyReport

LOG_SPECS = [spec("inference_log", "no_future", "No answer saw events after its moment.", kind="scores")]
CONSISTENCY_SPECS = [
    spec(
        "consistency",
        "bit_identical",
        "Every served vector has the bits that batch computes for its moment. Only a declared definition change excuses.",
    )
]


def log_results(con: duckdb.DuckDBPyConnection, first: date, last: date) -> list[dg.AssetCheckResult]:
    (future,) = con.execute(
        "SELECT count(*) FROM serving.inference_log WHERE day BETWEEN ? AND ? "
        "AND (visible_until > requested_at OR derived_until > requested_at)",
        [first, last],
    ).fetchall()[0]
    return [result("inference_log", "no_future", future == 0, {"rows": future})]


def consistency_results(report: ConsistencyReport) -> list[dg.AssetCheckResult]:
    metadata = {
        "vectors": report.vectors,
        "identical": report.identical,
        "differing": report.differing[:50],
        "excused": dict(report.excused),
    }
    return [result("consistency", "bit_identical", report.identical == report.vectors, metadata)]
