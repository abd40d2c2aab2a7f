"""``monitoring.drift``: every column of every day's trailing week against the champion's reference."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb
import msgspec
import numpy as np
import polars as pl

from returnml.modeling.data.drift_reference import (
    REFERENCE_FILE,
    Reference,
)
from returnml.monitoring.drift import SCORE, PeriodDrift, bin_counts, judge_column, judge_period
from returnml.release.folder import Release
from returnml.settings import DriftSettings
from returnml.warehouse.partition import PartitionResult, replace_partition
from returnml.warehouse.tables import ensure_tables, table_frame

WEEK = 7
"""Days that a day is judged on with those before it: a single one always differs from the average weekday."""

TABLE = "monitoring.drift"
COLUMNS = {
    "day": "DATE",
    "release": "VARCHAR",
    "column_name": "VARCHAR",
    "rows": "BIGINT",
    "psi": "DOUBLE",
    "ks": "DOUBLE",
    "share_missing": "DOUBLE",
    "is_drifted": "BOOLEAN",
}


@dataclass(frozen=True)
class DriftReport:
    """What was written, and each day's judgement."""

    release: str
    days: dict[date, PeriodDrift]
    partitions: PartitionResult


def build_drift(
    con: duckdb.DuckDBPyConnection, release: Release, first: date, last: date, settings: DriftSettings
) -> DriftReport:
    """Judge the days ``first`` to ``last``, each over itself and the six days before.

    Args:
        con: the warehouse, with ``features.order_lines`` and ``scores.daily`` of those days.
        release: whose ``reference.json`` is compared with; only its own scores and features count.

    Raises:
        ReleaseError: if the reference is missing or was changed.
    """
    reference = msgspec.json.decode(release.read(REFERENCE_FILE), type=Reference)
    counts = _daily_counts(con, release, reference, first - timedelta(days=WEEK - 1), last)
    days: dict[date, PeriodDrift] = {}
    for n in range((last - first).days + 1):
        columns = [
            judge_column(name, by_day[n : n + WEEK].sum(axis=0), histogram, settings)
            for name, (histogram, by_day) in counts.items()
        ]
        days[first + timedelta(days=n)] = judge_period(columns, settings)
    ensure_tables(con, {TABLE: COLUMNS})
    rows = (
        (day, release.version, c.column, c.rows, c.psi, c.ks, c.share_missing, c.is_drifted)
        for day, period in days.items()
        for c in period.columns
    )
    partitions = replace_partition(
        con, TABLE, first, last, table_frame(rows, COLUMNS), day_column="day", inputs_hash=release.version
    )
    return DriftReport(release.version, days, partitions)


def _daily_counts(
    con: duckdb.DuckDBPyConnection, release: Release, reference: Reference, first: date, last: date
) -> dict[str, Any]:
    """By column its reference histogram and its counts, shape (days, bins)."""
    days = (last - first).days + 1
    names = ", ".join(f'f."{name}"' for name in reference.features)
    sql = (
        f"SELECT date_diff('day', ?::DATE, f.day) AS period, s.probability, {names} FROM features.order_lines f "
        "JOIN scores.daily s ON s.day = f.day AND s.line_id = f.line_id AND s.release = ? "
        "WHERE f.day BETWEEN ? AND ? AND f.feature_set_hash = ?"
    )
    params = [first, release.version, first, last, release.manifest.feature_set_hash]
    histograms = {SCORE: reference.score, **reference.features}
    counts = {name: np.zeros((days, len(h.edges) + 2), np.int64) for name, h in histograms.items()}
    batches = con.sql(sql, params=params).to_arrow_reader(100_000)
    for batch in batches:
        frame = pl.DataFrame(batch)
        period = frame["period"].to_numpy()
        for name, histogram in histograms.items():
            values = frame["probability" if name == SCORE else name].to_numpy()
            counts[name] += bin_counts(values, histogram, period, days)
    return {name: (histograms[name], counts[name]) for name in histograms}
