"""The vectors of a whole spine at once."""

from __future__ import annotations

import duckdb
import numpy as np

from returnml.features.feature_set import FeatureSet
from returnml.warehouse.features.vectors import stream_vectors


def compute_vectors(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, spine: str) -> tuple[list, np.ndarray]:
    """The moment ids in spine order, and float32, shape (rows, outputs), of a spine of whole requests."""
    ids: list = []
    parts = [np.empty((0, len(feature_set.outputs)), np.float32)]
    for id_columns, matrix in stream_vectors(con, feature_set, spine, ("moment_id",)):
        ids += id_columns.column(0).to_pylist()
        parts.append(matrix)
    return ids, np.concatenate(parts)
