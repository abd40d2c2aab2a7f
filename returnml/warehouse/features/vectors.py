"""Feature vectors of any spine: raw aggregates streamed from DuckDB through ``vector.assemble``, in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import pyarrow as pa

from returnml.features.declarations import Operation
from returnml.features.feature_set import FeatureSet
from returnml.features.sql.plan import Inputs
from returnml.features.vector import assemble
from returnml.sql import quote
from returnml.tasks.live_sets import TILE_GROUPS
from returnml.warehouse.features.window_aggregates import computed

BATCH_ROWS = 131_072
"""Rows of raw aggregates that are in Python at once."""


def stream_vectors(
    con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, spine: str, carried: Sequence[str]
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Vectors in chunks, in spine order: (the carried spine columns, float32 matrix) of the same rows.

    Raises:
        FeatureError: see ``compute_windows``.
    """
    inputs = Inputs(spine, feature_set.groups, feature_set.request, feature_set.basket, tuple(carried))
    wide = _wide_names(feature_set)
    with computed(con, inputs, held=TILE_GROUPS) as found:
        columns = [f"s.{quote(c)}" for c in carried]
        for name in feature_set.raw_names:
            expression = found.plan.expressions[name]
            value = f"({expression})::VARCHAR" if name in wide else f"coalesce(({expression})::DOUBLE, 'nan')"
            columns.append(f"{value} AS {quote(name)}")
        for start in range(0, found.rows, BATCH_ROWS):
            batch = con.sql(
                f"SELECT {', '.join(columns)} {found.plan.relation(f'mid >= {start} AND mid < {start + BATCH_ROWS}')} "
                "ORDER BY s.mid"
            ).to_arrow_table()
            batch = batch.combine_chunks().to_batches()[0]
            raw = {n: _wide_floats(batch.column(n)) if n in wide else batch.column(n).to_numpy() for n in feature_set.raw_names}
            yield batch.select(list(carried)), assemble(feature_set, raw)


def _wide_names(feature_set: FeatureSet) -> set[str]:
    return {a.name for a in feature_set.aggregates if a.aggregation.operation is Operation.SUM_OF_SQUARES}


def _wide_floats(column: pa.Array) -> np.ndarray:
    """Integers of any size to the nearest float64; a cast of 128 bits in the engine may round twice."""
    return np.array([float("nan") if v is None else float(int(v)) for v in column.to_pylist()], np.float64)
