"""Feature vectors of any spine: raw aggregates streamed from DuckDB through ``vector.assemble``, in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import pyarrow as pa

from returnml.features.declarations import Operation
from returnml.features.feature_set import FeatureSet
from returnml.features.sql.dialect import quote
from returnml.features.sql.request_expressions import (
    basket_bys,
    basket_statement,
    basket_table,
    carried_columns,
    request_expression,
)
from returnml.features.vector import assemble
from returnml.warehouse.features.window_aggregates import (
    drop,
    prepare,
)

BATCH_ROWS = 131_072
"""Rows of raw aggregates that are in Python at once."""


def stream_vectors(
    con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, spine: str, carried: Sequence[str]
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Vectors in chunks, in spine order: (the carried spine columns, float32 matrix) of the same rows.

    Raises:
        FeatureError: see ``compute_windows``.
    """
    prepared = prepare(con, feature_set.groups, spine, (*carried_columns(feature_set), *carried))
    for request in feature_set.request:
        prepared.expressions[request.name] = request_expression(request)
    for i, by in enumerate(basket_bys(feature_set)):
        con.execute(basket_statement(feature_set, by))
        prepared.results[basket_table(by)] = f"b{i}"
        for basket in feature_set.basket:
            if basket.by == by:
                prepared.expressions[basket.name] = f"b{i}.{quote(basket.name)}"
    wide = _wide_names(feature_set)
    columns = [f"s.{quote(c)}" for c in carried]
    for name in feature_set.raw_names:
        expression = prepared.expressions[name]
        value = f"({expression})::VARCHAR" if name in wide else f"coalesce(({expression})::DOUBLE, 'nan')"
        columns.append(f"{value} as {quote(name)}")
    try:
        for start in range(0, prepared.rows, BATCH_ROWS):
            batch = con.sql(
                f"select {', '.join(columns)} {prepared.relation(f'mid >= {start} and mid < {start + BATCH_ROWS}')} "
                "order by s.mid"
            ).to_arrow_table()
            batch = batch.combine_chunks().to_batches()[0]
            raw = {n: _wide_floats(batch.column(n)) if n in wide else batch.column(n).to_numpy() for n in feature_set.raw_names}
            yield batch.select(list(carried)), assemble(feature_set, raw)
    finally:
        drop(con, prepared)


def _wide_names(feature_set: FeatureSet) -> set[str]:
    return {a.name for a in feature_set.aggregates if a.aggregation.operation is Operation.SUM_OF_SQUARES}


def _wide_floats(column: pa.Array) -> np.ndarray:
    """Integers of any size to the nearest float64; a cast of 128 bits in the engine may round twice."""
    return np.array([float("nan") if v is None else float(int(v)) for v in column.to_pylist()], np.float64)
