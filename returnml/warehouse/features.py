"""Builds ``features.order_lines``: the vector of every order line as of its moment, in partitions by day.

One row per order line, in the partition of the day on which its order became known. A line's moment is the one it was
scored at, where it is linked (``moments``), else the instant its order became known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from returnml.features.declarations import FeatureSet
from returnml.warehouse.partition import combine_hashes, day_ranges
from returnml.warehouse.vector_table import ensure_vector_table, write_vectors

TABLE = "features.order_lines"
BLOCK_LINES = 1_000_000
"""Lines whose vectors are held in memory at once."""

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


@dataclass(frozen=True)
class OrderLinesReport:
    """What was written.

    Attributes:
        rows: lines of all days.
        content_hash: over the days' content hashes.
        added_columns: feature columns that the table did not have before.
    """

    first: date
    last: date
    rows: int
    content_hash: str
    feature_set_hash: str
    added_columns: tuple[str, ...]


def build_order_lines(
    con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, first: date, last: date, moments: str | None = None
) -> OrderLinesReport:
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
    rows, hashes = 0, []
    added = ensure_vector_table(con, TABLE, COLUMNS, feature_set)
    for block_first, block_last in day_ranges(con, "pit_order_lines", first, last, BLOCK_LINES):
        spine = f"(select * from pit_order_lines where day between date '{block_first}' and date '{block_last}')"
        result = write_vectors(con, TABLE, COLUMNS, feature_set, spine, block_first, block_last)
        rows += result.rows
        hashes += [f"{d.day}:{d.content_hash}" for d in result.days]
    con.execute("drop view pit_order_lines")
    return OrderLinesReport(first, last, rows, combine_hashes(hashes), feature_set.hash, added)


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
