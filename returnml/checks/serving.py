"""Checks of the scores, the published generation and the drift figures."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from returnml.checks import result, spec

if TYPE_CHECKING:
    import duckdb

    from returnml.store.generation import Generation
    from returnml.warehouse.reasons import ReasonsReport

SCORES_SPECS = [
    spec("scores_daily", "one_score_per_line", "Every line with a vector has exactly one score.", kind="scores"),
    spec(
        "scores_daily",
        "probabilities_valid",
        "Every probability lies strictly between 0 and 1; no cost is negative.",
        kind="scores",
    ),
]
REASONS_SPECS = [
    spec("scores_reasons", "explained", "The release explains the riskiest lines of the days.", blocking=False, kind="scores")
]
GENERATION_SPECS = [
    spec(
        "online_generation",
        "serves_to_cut_off",
        "The published generation is the current one and ends at the cut-off.",
        kind="store",
    )
]
DRIFT_SPECS = [
    spec(
        "drift",
        "not_drifted",
        "Scores and features look as on the release's reference (effect sizes).",
        blocking=False,
        kind="drift",
    )
]


def scores_results(con: duckdb.DuckDBPyConnection, first: date, last: date) -> list[dg.AssetCheckResult]:
    rows, lines, invalid = con.execute(
        "SELECT count(*), count(DISTINCT line_id), count(*) FILTER (probability IS NULL OR isnan(probability) OR "
        "probability <= 0 OR probability >= 1 OR expected_cost_cents IS NULL OR expected_cost_cents < 0 OR action IS NULL) "
        "FROM scores.daily WHERE day BETWEEN ? AND ?",
        [first, last],
    ).fetchall()[0]
    (expected,) = con.execute("SELECT count(*) FROM features.order_lines WHERE day BETWEEN ? AND ?", [first, last]).fetchall()[0]
    return [
        result("scores_daily", "one_score_per_line", rows == lines == expected, {"scores": rows, "vectors": expected}),
        result("scores_daily", "probabilities_valid", invalid == 0, {"invalid": invalid}),
    ]


def reasons_results(report: ReasonsReport) -> list[dg.AssetCheckResult]:
    metadata = {"lines": report.lines, "message": report.unexplained}
    return [result("scores_reasons", "explained", not report.unexplained, metadata, warn=True)]


def generation_results(published: Generation, cut_off_us: int, is_current: bool) -> list[dg.AssetCheckResult]:
    holds = is_current and published.manifest.cut_off_us == cut_off_us
    return [result("online_generation", "serves_to_cut_off", holds, {"cut_off_us": cut_off_us, "is_current": is_current})]


def drift_results(report: Any) -> list[dg.AssetCheckResult]:
    """Judged on the last day: what it looked like before is history."""
    day, period = max(report.days.items())
    metadata = {"day": day.isoformat(), "release": report.release, "drifted": list(period.drifted)[:50]}
    return [result("drift", "not_drifted", not period.is_drifted, metadata, warn=True)]
