"""Builds ``features.customers``: the vector of every known customer at a cut-off, one partition a cut-off; of the past the days
that models are trained on.

The spine is the customers themselves: whoever has an event before the cut-off, in any stream of the feature set. All
of them share the moment, the cut-off, so that the service's answer from the generation of that cut-off has the same
bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import duckdb

from returnml.features.feature_set import FeatureSet
from returnml.sql import literal
from returnml.tasks.declaration import Sampling
from returnml.warehouse.features.vector_table import (
    ensure_vector_table,
    write_vectors,
)
from returnml.warehouse.partition import PARTITIONS_DDL, combine_hashes, content_hashes

TABLE = "features.customers"
KEY = "customer_id"
BLOCK_DAYS = 10
"""Days of the past that are computed at once."""
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
    inputs = _inputs(con, feature_set, [cut_off])
    result = write_vectors(con, TABLE, COLUMNS, feature_set, customer_spine(feature_set, cut_off), day, day, inputs_hash=inputs)
    return CustomersReport(cut_off, result.rows, result.content_hash, feature_set.hash, added)


def build_past_customers(
    con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, sampling: Sampling, until: datetime, waited_days: int
) -> list[date]:
    """Write the sampled days of the past that are not there, or that were made from other events than are known now.

    Args:
        feature_set: as of ``build_customers``.
        sampling: counted back from ``until``, a training's cut-off (naive UTC).
        waited_days: how long a label takes: later days are of no use yet.

    Returns:
        The days that were written, each with its start as the cut-off.
    """
    ensure_vector_table(con, TABLE, COLUMNS, feature_set)
    con.execute(PARTITIONS_DDL)
    sampled = sampling.condition(literal(until))
    days = con.execute(
        "SELECT day FROM (SELECT unnest(generate_series(min(known_day) + 1, ?::TIMESTAMP, INTERVAL 1 DAY))::DATE AS day "
        f"FROM core.orders) WHERE {sampled} ORDER BY day",
        [until - timedelta(days=waited_days)],
    ).fetchall()
    inputs = _inputs(con, feature_set, [datetime.combine(day, time()) for (day,) in days])
    recorded = con.execute("SELECT day, inputs_hash FROM ops.partitions WHERE table_name = ?", [TABLE]).fetchall()
    written = dict(recorded)
    stale = [day for day, made_from in inputs.items() if written.get(day) != made_from]
    for start in range(0, len(stale), BLOCK_DAYS):
        block = stale[start : start + BLOCK_DAYS]
        each = (customer_spine(feature_set, datetime.combine(day, time())) for day in block)
        spine = f"(SELECT * REPLACE ({KEY} || ' ' || day AS moment_id) FROM ({' UNION ALL '.join(each)}))"
        between = {block[0] + timedelta(days=n) for n in range((block[-1] - block[0]).days + 1)}
        others = between - set(block)
        write_vectors(con, TABLE, COLUMNS, feature_set, spine, block[0], block[-1], keep_days=others, inputs_hash=inputs)
    return stale


def _inputs(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, cut_offs: Sequence[datetime]) -> dict[date, str]:
    """By the cut-offs' days (ascending): a hash of the declarations, the instant and all partitions with events before it."""
    if not cut_offs:
        return {}
    tables = _tables(feature_set)
    hashes = [content_hashes(con, table, date.min, cut_offs[-1].date()) for table in tables]
    held = sorted({day for of_table in hashes for day in of_table})
    found, running, i = {}, feature_set.hash, 0
    for cut_off in cut_offs:
        while i < len(held) and datetime.combine(held[i], time()) < cut_off:
            running = combine_hashes([running, str(held[i]), *(of_table.get(held[i], "") for of_table in hashes)])
            i += 1
        found[cut_off.date()] = combine_hashes([running, cut_off.isoformat()])
    return found


def customer_spine(feature_set: FeatureSet, cut_off: datetime) -> str:
    """A query: one row for each customer who is known before the cut-off, as of the cut-off."""
    at = literal(cut_off)
    moment = ", ".join(f"{at} AS {name}" for name in ("requested_at", "visible_until", "derived_until"))
    return f"(SELECT {KEY}, {KEY} AS moment_id, {at}::DATE AS day, {moment} FROM {known_customers(feature_set, cut_off)})"


def known_customers(feature_set: FeatureSet, cut_off: datetime) -> str:
    """A query: each ``customer_id`` with an event before the cut-off, once."""
    each = " UNION ".join(
        f"SELECT {KEY} FROM {table} WHERE known_at < {literal(cut_off)} AND {KEY} IS NOT NULL" for table in _tables(feature_set)
    )
    return f"({each})"


def _tables(feature_set: FeatureSet) -> list[str]:
    return list(dict.fromkeys(stream.table for group in feature_set.groups for stream in group.streams))
