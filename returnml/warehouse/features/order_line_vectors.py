"""Builds ``features.order_lines``: the vector of every order line as of its moment, in partitions by day.

One row per order line, in the partition of the day on which its order became known. A line's moment is the one it was
scored at, where it is linked (``moments``), else the instant its order became known.
"""

from __future__ import annotations

from datetime import date, timedelta

import duckdb

from returnml.features.feature_set import FeatureSet
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
    con.execute("drop view pit_order_lines")
    return report


def _create_spine(con: duckdb.DuckDBPyConnection, first: date, last: date, moments: str | None) -> None:
    """The view ``pit_order_lines``: one row per line whose moment lies in the days."""
    until = last + timedelta(days=1)
    if moments is None:
        con.execute(
            "create or replace temp view pit_order_lines as select *, line_id as moment_id, known_at as requested_at, "
            f"known_at as visible_until, known_at as derived_until, known_day as day from core.orders "
            f"where known_day >= date '{first}' and known_day < date '{until}'"
        )
        return
    con.execute(
        "create or replace temp view pit_order_lines as select o.*, o.line_id as moment_id, "
        + ", ".join(f"coalesce(m.{c}, o.known_at) as {c}" for c in ("requested_at", "visible_until", "derived_until"))
        + f", o.known_day as day from core.orders as o left join {moments} as m "
        f"on m.line_id = o.line_id where o.known_day >= date '{first}' and o.known_day < date '{until}'"
    )
