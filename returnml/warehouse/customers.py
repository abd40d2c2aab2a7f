"""Builds ``features.customers``: the vector of every known customer at a cut-off, one partition a cut-off.

The spine is the customers themselves: whoever has an event before the cut-off, in any stream of the feature set. All
of them share the moment, the cut-off, so that the service's answer from the generation of that cut-off has the same
bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from returnml.features.declarations import FeatureSet
from returnml.warehouse.vector_table import ensure_vector_table, write_vectors

TABLE = "features.customers"
KEY = "customer_id"
COLUMNS = {
    "day": "DATE",
    KEY: "VARCHAR",
    "requested_at": "TIMESTAMP",
    "visible_until": "TIMESTAMP",
    "derived_until": "TIMESTAMP",
    "feature_set_hash": "VARCHAR",
}
"""Those besides the features."""


@dataclass(frozen=True)
class CustomersReport:
    """What was written.

    Attributes:
        added_columns: feature columns that the table did not have before.
    """

    cut_off: datetime
    rows: int
    content_hash: str
    feature_set_hash: str
    added_columns: tuple[str, ...]


def build_customers(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, cut_off: datetime) -> CustomersReport:
    """Write the partition of the cut-off's day, whole or not at all.

    Args:
        feature_set: declarations that are keyed by the customer alone and ask nothing of a request but its moment.
        cut_off: naive UTC; events known before it are seen, of all streams.

    Raises:
        FeatureError: see ``compute_windows``; also for declarations that need more than a customer.
    """
    day = cut_off.date()
    added = ensure_vector_table(con, TABLE, COLUMNS, feature_set)
    result = write_vectors(con, TABLE, COLUMNS, feature_set, customer_spine(feature_set, cut_off), day, day)
    return CustomersReport(cut_off, result.rows, result.content_hash, feature_set.hash, added)


def customer_spine(feature_set: FeatureSet, cut_off: datetime) -> str:
    """A query: one row for each customer who is known before the cut-off, as of the cut-off."""
    at = f"timestamp '{cut_off}'"
    moment = ", ".join(f"{at} as {name}" for name in ("requested_at", "visible_until", "derived_until"))
    return f"(select {KEY}, {KEY} as moment_id, {at}::DATE as day, {moment} from {known_customers(feature_set, cut_off)})"


def known_customers(feature_set: FeatureSet, cut_off: datetime) -> str:
    """A query: each ``customer_id`` with an event before the cut-off, once."""
    tables = dict.fromkeys(stream.table for group in feature_set.groups for stream in group.streams)
    each = " union ".join(
        f"select {KEY} from {table} where known_at < timestamp '{cut_off}' and {KEY} is not null" for table in tables
    )
    return f"({each})"
