"""Builds ``features.order_lines``: the vector of every order line as of its moment, in partitions by day.

One row per order line, in the partition of the day on which its order became known. A line's moment is the one it was
scored at, where it is linked (``moments``), else the instant its order became known.
"""

from __future__ import annotations

from datetime import date, timedelta

import duckdb

from returnml.features.feature_set import FeatureSet
from returnml.sql import literal
from returnml.warehouse.features.vector_table import (
    VectorsReport,
    build_days,
)

TABLE = "features.order_lines"

COLUMNS = {
    "day": "DATE",
    "line_id": "VARCHAR",
    "order_id": "VARCHAR",
    "requested_at": "TIMESTAMP",
    "visible_until": "TIMESTAMP",
    "derived_until": "TIMESTAMP",
    "feature_set_hash": "VARCHAR",
}
"""Those besides the features."""


def build_order_lines(
    con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, first: date, last: date, moments: str | None = None
) -> VectorsReport:
    """Write the partitions of the days ``first`` to ``last`` (inclusive), each day whole or not at all.

    Args:
        feature_set: the declarations.
        moments: a relation of linked moments: ``line_id, requested_at, visible_until, derived_until``, at most one per
            line. Default: every line's moment is its own ``known_at``.

    Raises:
        FeatureError: see ``compute_windows``.
        PartitionError: where the rows do not belong to the days.
    """
    if last < first:
        raise ValueError(f"{TABLE}: last day {last} before first day {first}")
    _create_spine(con, first, last, moments)
    report = build_days(con, TABLE, COLUMNS, feature_set, "pit_order_lines", first, last)
    con.execute("DROP VIEW pit_order_lines")
    return report


def _create_spine(con: duckdb.DuckDBPyConnection, first: date, last: date, moments: str | None) -> None:
    """The view ``pit_order_lines``: one row per line whose moment lies in the days."""
    until = last + timedelta(days=1)
    if moments is None:
        con.execute(
            "CREATE OR REPLACE TEMP VIEW pit_order_lines AS SELECT *, line_id AS moment_id, known_at AS requested_at, "
            f"known_at AS visible_until, known_at AS derived_until, known_day AS day FROM core.orders "
            f"WHERE known_day >= {literal(first)} AND known_day < {literal(until)}"
        )
        return
    con.execute(
        "CREATE OR REPLACE TEMP VIEW pit_order_lines AS SELECT o.*, o.line_id AS moment_id, "
        + ", ".join(f"coalesce(m.{c}, o.known_at) AS {c}" for c in ("requested_at", "visible_until", "derived_until"))
        + f", o.known_day AS day FROM core.orders AS o LEFT JOIN {moments} AS m "
        f"ON m.line_id = o.line_id WHERE o.known_day >= {literal(first)} AND o.known_day < {literal(until)}"
    )
