"""Checks of tiles and feature vectors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import dagster as dg

from returnml.features.feature_set import FeatureSet
from returnml.pipeline.checks import (
    result,
    spec,
)
from returnml.sql import quote
from returnml.tasks.spines import INSPECTABLE

if TYPE_CHECKING:
    import duckdb

    from returnml.warehouse.features.tile_tables import TilesReport


@dataclass(frozen=True)
class Vectors:
    """A table of vectors whose rows have moments of their own.

    Attributes:
        expected: a query of the rows that have a vector, with ``known_day``.
        always_present: inputs that every row carries.
    """

    asset: str
    table: str
    key: str
    row: str
    expected: str
    always_present: tuple[str, ...]


ORDER_LINES = Vectors(
    "features_order_line",
    "features.order_lines",
    "line_id",
    "order line",
    "core.orders",
    ("quantity", "unit_price_cents", "line_value_cents", "has_voucher", "hour_of_day", "day_of_week"),
)
RETURNS = Vectors(
    "features_return",
    "features.returns",
    "return_id",
    "return with a line",
    INSPECTABLE,
    ("returned_quantity", "refund_cents", "quantity", "line_value_cents", "days_since_order", "hour_of_day", "day_of_week"),
)

_CUSTOMERS = "features_customer"
CUSTOMER_SPECS = [
    spec(_CUSTOMERS, "one_row_per_customer", "Every customer known before the cut-off has exactly one vector, and nobody else."),
    spec(_CUSTOMERS, "one_moment", "All vectors of the cut-off's day are of the cut-off and of the declared feature set."),
]


def vector_specs(vectors: Vectors) -> list[dg.AssetCheckSpec]:
    """Of each day that is written."""
    of = vectors.asset
    return [
        spec(of, "one_row_per_key", f"Every {vectors.row} of these days has exactly one vector, and nothing else has one."),
        spec(of, "one_feature_set", "All vectors are of the declared feature set."),
        spec(of, "request_inputs_present", "What the row itself always carries is missing in no vector."),
        spec(of, "no_future", "No vector saw events after its moment."),
    ]


def tile_specs(asset: str) -> list[dg.AssetCheckSpec]:
    return [
        spec(asset, "later_days_fresh", "No later day rests on other tiles than are there now.", blocking=False, kind="notice")
    ]


def tile_results(asset: str, report: TilesReport) -> list[dg.AssetCheckResult]:
    stale = [day.isoformat() for day in report.stale]
    return [result(asset, "later_days_fresh", not stale, {"backfill": stale[:50]}, warn=True)]


def vector_results(
    vectors: Vectors, con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, first: date, last: date
) -> list[dg.AssetCheckResult]:
    missing = " OR ".join(f"{name} IS NULL OR isnan({name})" for name in map(quote, vectors.always_present))
    rows, named, foreign, without, future = con.execute(
        f"""
        SELECT count(*), count(DISTINCT {vectors.key}), count(*) FILTER (feature_set_hash <> $hash),
               count(*) FILTER ({missing}),
               count(*) FILTER (visible_until > requested_at OR derived_until > requested_at)
        FROM {vectors.table} WHERE day BETWEEN $first AND $last""",
        {"first": first, "last": last, "hash": feature_set.hash},
    ).fetchall()[0]
    counting = f"SELECT count(*) FROM {vectors.expected} AS e WHERE known_day BETWEEN ? AND ?"
    (expected,) = con.execute(counting, [first, last]).fetchall()[0]
    counted = {"rows": rows, vectors.key: named, "expected": expected}
    return [
        result(vectors.asset, "one_row_per_key", rows == named == expected, counted),
        result(vectors.asset, "one_feature_set", foreign == 0, {"foreign": foreign, "hash": feature_set.hash}),
        result(vectors.asset, "request_inputs_present", without == 0, {"rows_without": without}),
        result(vectors.asset, "no_future", future == 0, {"rows": future}),
    ]


def customer_results(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, cut_off: datetime) -> list[dg.AssetCheckResult]:
    from returnml.warehouse.features.customer_vectors import (
        KEY,
        TABLE,
        known_customers,
    )

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
