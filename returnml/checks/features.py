"""Checks of tiles and feature vectors."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

import dagster as dg

from returnml.checks import result, spec
from returnml.features.declarations import FeatureSet

if TYPE_CHECKING:
    import duckdb

    from returnml.warehouse.tiles import TilesReport

_ASSET = "features_order_line"

SPECS = [
    spec(_ASSET, "one_row_per_line", "Every order line of these days has exactly one vector, and nothing else has one."),
    spec(_ASSET, "one_feature_set", "All vectors are of the declared feature set."),
    spec(_ASSET, "request_inputs_present", "What the line itself always carries is missing in no vector."),
    spec(_ASSET, "no_future", "No vector saw events after its moment."),
]

_CUSTOMERS = "features_customer"
CUSTOMER_SPECS = [
    spec(_CUSTOMERS, "one_row_per_customer", "Every customer known before the cut-off has exactly one vector, and nobody else."),
    spec(_CUSTOMERS, "one_moment", "All vectors of the cut-off's day are of the cut-off and of the declared feature set."),
]

_ALWAYS_PRESENT = ("quantity", "unit_price_cents", "line_value_cents", "has_voucher", "hour_of_day", "day_of_week")


def tile_specs(asset: str) -> list[dg.AssetCheckSpec]:
    return [
        spec(asset, "later_days_fresh", "No later day rests on other tiles than are there now.", blocking=False, kind="notice")
    ]


def tile_results(asset: str, report: TilesReport) -> list[dg.AssetCheckResult]:
    stale = [day.isoformat() for day in report.stale]
    return [result(asset, "later_days_fresh", not stale, {"backfill": stale[:50]}, warn=True)]


def results(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, first: date, last: date) -> list[dg.AssetCheckResult]:
    present = [name for name in _ALWAYS_PRESENT if name in feature_set.outputs]
    missing = " OR ".join(f'"{name}" IS NULL OR isnan("{name}")' for name in present)
    rows, lines, foreign, without, future = con.execute(
        f"""
        SELECT count(*), count(DISTINCT line_id), count(*) FILTER (feature_set_hash <> $hash),
               count(*) FILTER ({missing}),
               count(*) FILTER (visible_until > requested_at OR derived_until > requested_at)
        FROM features.order_lines WHERE day BETWEEN $first AND $last""",
        {"first": first, "last": last, "hash": feature_set.hash},
    ).fetchall()[0]
    (expected,) = con.execute("SELECT count(*) FROM core.orders WHERE known_day BETWEEN ? AND ?", [first, last]).fetchall()[0]
    counted = {"rows": rows, "lines": lines, "order_lines": expected}
    return [
        result(_ASSET, "one_row_per_line", rows == lines == expected, counted),
        result(_ASSET, "one_feature_set", foreign == 0, {"foreign": foreign, "hash": feature_set.hash}),
        result(_ASSET, "request_inputs_present", without == 0, {"rows_without": without}),
        result(_ASSET, "no_future", future == 0, {"rows": future}),
    ]


def customer_results(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, cut_off: datetime) -> list[dg.AssetCheckResult]:
    from returnml.warehouse.customers import KEY, TABLE, known_customers

    params = {"day": cut_off.date(), "cut_off": cut_off, "hash": feature_set.hash}
    rows, customers, elsewhere, missing, unknown = con.execute(
        f"""
        WITH written AS (SELECT * FROM {TABLE} WHERE day = $day), known AS {known_customers(feature_set, cut_off)}
        SELECT count(*), count(DISTINCT {KEY}),
               count(*) FILTER (requested_at <> $cut_off OR visible_until <> $cut_off OR derived_until <> $cut_off
                                OR feature_set_hash <> $hash),
               (SELECT count(*) FROM known ANTI JOIN written USING ({KEY})),
               count(*) FILTER ({KEY} NOT IN (SELECT {KEY} FROM known))
        FROM written""",
        params,
    ).fetchall()[0]
    counted = {"rows": rows, "customers": customers, "missing": missing, "unknown": unknown}
    return [
        result(_CUSTOMERS, "one_row_per_customer", rows == customers and not missing and not unknown, counted),
        result(_CUSTOMERS, "one_moment", elsewhere == 0, {"rows": elsewhere, "hash": feature_set.hash}),
    ]
