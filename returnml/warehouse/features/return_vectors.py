"""Builds ``features.returns``: the vector of every return that can be inspected as of its request, in partitions by day.

A return's moment is the instant it became known: what was known strictly before it is seen, so that a return is never in
its own windows. Orphans have no line to know anything about, and cancellations are never inspected: neither has a row.
"""

from __future__ import annotations

from datetime import date

import duckdb

from returnml.features.feature_set import FeatureSet
from returnml.sql import literal
from returnml.tasks.spines import INSPECTABLE
from returnml.warehouse.features.feature_errors import FeatureError
from returnml.warehouse.features.vector_table import (
    VectorsReport,
    build_days,
)

TABLE = "features.returns"

COLUMNS = {
    "day": "DATE",
    "return_id": "VARCHAR",
    "line_id": "VARCHAR",
    "requested_at": "TIMESTAMP",
    "visible_until": "TIMESTAMP",
    "derived_until": "TIMESTAMP",
    "feature_set_hash": "VARCHAR",
}
"""Those besides the features."""

_OF_LINE = ("size", "unit_price_cents", "list_price_cents", "line_value_cents", "voucher_code", "quantity")


def build_returns(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, first: date, last: date) -> VectorsReport:
    """Write the partitions of the days ``first`` to ``last`` (inclusive), each day whole or not at all.

    Raises:
        FeatureError: see ``compute_windows``; also where inspections were validated before they said what they found.
        PartitionError: where the rows do not belong to the days.
    """
    if last < first:
        raise ValueError(f"{TABLE}: last day {last} before first day {first}")
    _refuse_old_inspections(con, last)
    line = ", ".join(f"o.{name}" for name in _OF_LINE)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE pit_returns AS SELECT r.known_day AS day, r.return_id AS moment_id, "
        "r.known_at AS requested_at, r.known_at AS visible_until, r.known_at AS derived_until, "
        f"r.quantity AS returned_quantity, r.* EXCLUDE (quantity, size), {line} "
        f"FROM {INSPECTABLE} AS r JOIN core.orders AS o USING (line_id) "
        f"WHERE r.known_day BETWEEN {literal(first)} AND {literal(last)}"
    )
    report = build_days(con, TABLE, COLUMNS, feature_set, "pit_returns", first, last)
    con.execute("DROP TABLE pit_returns")
    return report


def _refuse_old_inspections(con: duckdb.DuckDBPyConnection, last: date) -> None:
    """Rows of before hold no keys: they would count for nobody."""
    query = "SELECT min(known_day), max(known_day) FROM core.inspections WHERE is_abuse IS NULL AND known_day <= ?"
    found = con.execute(query, [last]).fetchall()[0]
    if found[0] is not None:
        raise FeatureError(
            f"core.inspections has no is_abuse from {found[0]} to {found[1]}: these days were validated by an older version: "
            "backfill inspections for them first"
        )
