"""Checks of the scores, the published generation and the drift figures."""

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

    from returnml.store.generation import Generation
    from returnml.tasks.declaration import Task
    from returnml.warehouse.monitoring.drift_table import DriftReport
    from returnml.warehouse.scores.daily_reasons import ReasonsReport

DECIDED = "decided"
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


def scores_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Those that nothing goes on after are enforced by the step (``stop_on_error``): it may be skipped."""
    whole = "Every row with a vector has exactly one score; else the step fails."
    valid = "Every probability lies strictly between 0 and 1, no cost is negative; else the step fails."
    return [
        spec(key, DECIDED, "A release decides about these rows; else nothing is scored.", blocking=False, kind="scores"),
        spec(key, "one_score_per_row", whole, blocking=False, kind="scores"),
        spec(key, "probabilities_valid", valid, blocking=False, kind="scores"),
    ]


def reasons_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    text = "The release explains the riskiest rows of the days."
    return [spec(key, "explained", text, blocking=False, kind="scores")]


def scores_results(
    key: dg.AssetKey, con: duckdb.DuckDBPyConnection, task: Task, first: date, last: date
) -> list[dg.AssetCheckResult]:
    rows, named, invalid = con.execute(
        f"SELECT count(*), count(DISTINCT ({', '.join(task.spine.keys)})), "
        "count(*) FILTER (probability IS NULL OR isnan(probability) OR "
        "probability <= 0 OR probability >= 1 OR expected_cost_cents IS NULL OR expected_cost_cents < 0 OR action IS NULL) "
        f"FROM {task.score_table} WHERE day BETWEEN ? AND ?",
        [first, last],
    ).fetchall()[0]
    vectors = f"SELECT count(*) FROM {task.spine.table} WHERE day BETWEEN ? AND ?"
    (expected,) = con.execute(vectors, [first, last]).fetchall()[0]
    return [
        result(key, DECIDED, True),
        result(key, "one_score_per_row", rows == named == expected, {"scores": rows, "vectors": expected}),
        result(key, "probabilities_valid", invalid == 0, {"invalid": invalid}),
    ]


def reasons_results(key: dg.AssetKey, report: ReasonsReport) -> list[dg.AssetCheckResult]:
    metadata = {"lines": report.lines, "message": report.unexplained}
    return [result(key, "explained", not report.unexplained, metadata, warn=True)]


def generation_results(published: Generation, cut_off_us: int, is_current: bool) -> list[dg.AssetCheckResult]:
    holds = is_current and published.manifest.cut_off_us == cut_off_us
    return [result("online_generation", "serves_to_cut_off", holds, {"cut_off_us": cut_off_us, "is_current": is_current})]


def drift_results(report: DriftReport) -> list[dg.AssetCheckResult]:
    """Judges the last day only: earlier days are history."""
    day, period = max(report.days.items())
    metadata = {"day": day.isoformat(), "release": report.release, "drifted": list(period.drifted)[:50]}
    return [result("drift", "not_drifted", not period.is_drifted, metadata, warn=True)]
