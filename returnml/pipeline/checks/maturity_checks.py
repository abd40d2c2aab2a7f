"""Checks of the nowcast and the forecast of returns."""

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

    from returnml.warehouse.forecasts.maturity_tables import MaturityReport

_KIND = "forecast"
LEAST_COVERAGE = 0.85
MIN_JUDGED = 200
"""Past forecasts below which their coverage says little."""


def _held_spec(asset: str, what: str) -> dg.AssetCheckSpec:
    text = f"At least {LEAST_COVERAGE:.0%} of the past nominal 90% intervals held {what}."
    return spec(asset, "intervals_held", text, blocking=False, kind=_KIND)


RATES_SPECS = [
    spec("return_rates", "rates_valid", "Every rate lies between what is back already and 1, inside its interval.", kind=_KIND),
    _held_spec("return_rates", "the matured rate"),
]
RETURNS_SPECS = [
    spec(
        "returns_forecast",
        "complete",
        "Every forecast day has every product group and the shop; no value is missing.",
        kind=_KIND,
    ),
    spec("returns_forecast", "sums_hold", "The product groups of a forecast day sum to the whole shop.", kind=_KIND),
    _held_spec("returns_forecast", "what came back"),
]

_SUMS = """
SELECT count(*) FILTER (abs(lines - group_lines) > 1e-6 * (1 + lines) OR abs(pieces - group_pieces) > 1e-6 * (1 + pieces)),
       count(*)
FROM (
    SELECT sum(lines) FILTER (product_group IS NULL) AS lines, sum(lines) FILTER (product_group IS NOT NULL) AS group_lines,
           sum(pieces) FILTER (product_group IS NULL) AS pieces, sum(pieces) FILTER (product_group IS NOT NULL) AS group_pieces
    FROM forecast.returns WHERE day BETWEEN ? AND ? GROUP BY day, forecast_day
)"""

_INCOMPLETE = """
SELECT count(*) FILTER (lines IS NULL OR NOT isfinite(lines) OR lines < 0 OR pieces IS NULL OR NOT isfinite(pieces) OR pieces < 0
           OR new_order_lines IS NULL OR NOT isfinite(new_order_lines) OR new_order_pieces IS NULL
           OR lines_low > lines_high OR pieces_low > pieces_high),
       count(*) FILTER (rows_of_group <> ?)
FROM (
    SELECT *, count(*) OVER (PARTITION BY day, product_group) AS rows_of_group FROM forecast.returns WHERE day BETWEEN ? AND ?
)"""


def rates_results(con: duckdb.DuckDBPyConnection, first: date, last: date, report: MaturityReport) -> list[dg.AssetCheckResult]:
    invalid, rows = con.execute(
        "SELECT count(*) FILTER (rate IS NULL OR NOT isfinite(rate) OR rate < returned / lines - 1e-9 OR rate > 1 "
        "OR rate_low > rate_high OR rate_low < returned / lines - 1e-9 OR rate_high > 1), count(*) "
        "FROM forecast.return_rates WHERE day BETWEEN ? AND ?",
        [first, last],
    ).fetchall()[0]
    return [
        result("return_rates", "rates_valid", invalid == 0, {"invalid": invalid, "rows": rows}),
        _held("return_rates", report),
    ]


def returns_results(con: duckdb.DuckDBPyConnection, first: date, last: date, report: MaturityReport) -> list[dg.AssetCheckResult]:
    from returnml.maturity.forecast import HORIZON_DAYS

    missing, gaps = con.execute(_INCOMPLETE, [HORIZON_DAYS, first, last]).fetchall()[0]
    wrong, days = con.execute(_SUMS, [first, last]).fetchall()[0]
    return [
        result("returns_forecast", "complete", missing == 0 and gaps == 0, {"missing": missing, "rows_of_gaps": gaps}),
        result("returns_forecast", "sums_hold", wrong == 0, {"wrong": wrong, "forecast_days": days}),
        _held("returns_forecast", report),
    ]


def _held(asset: str, report: MaturityReport) -> dg.AssetCheckResult:
    is_judged = report.judged >= MIN_JUDGED
    metadata = {"judged": report.judged, "nominal": 0.9, "least": LEAST_COVERAGE}
    if report.judged:
        metadata["coverage"] = report.coverage
    return result(asset, "intervals_held", not is_judged or report.coverage >= LEAST_COVERAGE, metadata, warn=True)
