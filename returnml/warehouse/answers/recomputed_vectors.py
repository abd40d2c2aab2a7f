"""``monitoring.consistency``: every vector that was served, computed again in batch as of its moment, bit against bit.

The batch engine sees what the request saw: the inputs as logged, the basket of the logged request, events before
``visible_until`` and derived events before ``derived_until``. Answers of another feature set than the declared one
cannot be recomputed by this code: they are counted as excused, by hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import duckdb
import numpy as np
import polars as pl

from returnml.features.feature_set import FeatureSet
from returnml.monitoring.consistency import Agreement
from returnml.sql import literal
from returnml.warehouse.answers.inference_tables import (
    LOG,
    TABLES,
    input_columns,
)
from returnml.warehouse.features.feature_errors import FeatureError
from returnml.warehouse.features.vectors import stream_vectors
from returnml.warehouse.partition import replace_partition
from returnml.warehouse.tables import ensure_tables, table_frame

TABLE = "monitoring.consistency"
COLUMNS = {
    "day": "DATE",
    "feature": "VARCHAR",
    "feature_set_hash": "VARCHAR",
    "rows": "BIGINT",
    "identical": "BIGINT",
    "rate": "DOUBLE",
    "example": "VARCHAR",
    "served": "FLOAT",
    "recomputed": "FLOAT",
}


@dataclass(frozen=True)
class ConsistencyReport:
    """What was compared.

    Attributes:
        days: by day with answers, how its vectors agree.
        excused: vectors of another feature set, by its hash.
    """

    days: Mapping[date, Agreement]
    excused: Mapping[str, int]
    rows: int
    content_hash: str

    @property
    def vectors(self) -> int:
        return sum(day.rows for day in self.days.values())

    @property
    def identical(self) -> int:
        return sum(day.identical_rows for day in self.days.values())

    @property
    def differing(self) -> list[str]:
        """Features that differ on any day."""
        return sorted({name for day in self.days.values() for name in day.differing})


def build_consistency(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, first: date, last: date) -> ConsistencyReport:
    """Compare the days ``first`` to ``last`` (inclusive) and replace their partitions.

    Raises:
        FeatureError: for a logged vector of another length than the declared one, naming the request.
        StaleTilesError: where tiles are to be built first.
    """
    ensure_tables(con, {**TABLES, TABLE: COLUMNS})
    logged = con.execute(
        f"SELECT DISTINCT day FROM {LOG} WHERE day BETWEEN ? AND ? AND feature_set_hash = ? ORDER BY day",
        [first, last, feature_set.hash],
    ).fetchall()
    days = {day: _agreement(con, feature_set, day) for (day,) in logged}
    excused = con.execute(
        f"SELECT feature_set_hash, count(*) FROM {LOG} WHERE day BETWEEN ? AND ? AND feature_set_hash <> ? GROUP BY ALL",
        [first, last, feature_set.hash],
    ).fetchall()
    rows = _frame(feature_set, days)
    result = replace_partition(con, TABLE, first, last, rows, day_column="day", inputs_hash=feature_set.hash)
    return ConsistencyReport(days, dict(excused), result.rows, result.content_hash)


def _agreement(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, day: date) -> Agreement:
    # The basket of a request is its own lines: two requests may carry one order id at one instant.
    spine = (
        f"(SELECT request_id || '/' || line_id AS moment_id, request_id AS order_id, requested_at, visible_until, "
        f"derived_until, {', '.join(input_columns(feature_set))}, vector FROM {LOG} "
        f"WHERE day = {literal(day)} AND feature_set_hash = {literal(feature_set.hash)})"
    )
    agreement = Agreement.of(feature_set.outputs)
    width = len(feature_set.outputs)
    for carried, recomputed in stream_vectors(con, feature_set, spine, ("moment_id", "vector")):
        moments = carried.column(0).to_pylist()
        vectors = carried.column(1).to_pylist()
        for moment, vector in zip(moments, vectors, strict=True):
            if len(vector) != 4 * width:
                raise FeatureError(f"{LOG}, {moment}: a vector of {len(vector)} bytes, {4 * width} are declared")
        agreement.compare(moments, np.frombuffer(b"".join(vectors), "<f4").reshape(-1, width), recomputed)
    return agreement


def _frame(feature_set: FeatureSet, days: Mapping[date, Agreement]) -> pl.DataFrame:
    rows = (
        (
            day,
            feature.name,
            feature_set.hash,
            feature.rows,
            feature.identical,
            feature.rate,
            *((feature.first.moment, feature.first.served, feature.first.recomputed) if feature.first else (None,) * 3),
        )
        for day, agreement in days.items()
        for feature in agreement.features
    )
    return table_frame(rows, COLUMNS)
