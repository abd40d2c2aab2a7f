"""Tables of feature vectors, one column per feature, written in partitions by day.

A partition holds vectors of one feature set; its hash stands in every row. When the declarations change, columns that
are new are added (null in partitions built before) and columns no longer declared stay for the partitions that hold
them: readers select by ``feature_set_hash``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

import duckdb
import pyarrow as pa

from returnml.features.feature_set import FeatureSet
from returnml.sql import literal
from returnml.warehouse.features.vectors import stream_vectors
from returnml.warehouse.partition import PartitionResult, combine_hashes, day_ranges, replace_partition
from returnml.warehouse.tables import ensure_tables

BLOCK_ROWS = 1_000_000
"""Rows whose vectors are held in memory at once."""


@dataclass(frozen=True)
class VectorsReport:
    """What was written.

    Attributes:
        rows: of all days.
        content_hash: over the days' content hashes.
        added_columns: feature columns that the table did not have before.
    """

    first: date
    last: date
    rows: int
    content_hash: str
    feature_set_hash: str
    added_columns: tuple[str, ...]


def build_days(
    con: duckdb.DuckDBPyConnection,
    table: str,
    fixed: Mapping[str, str],
    feature_set: FeatureSet,
    spine: str,
    first: date,
    last: date,
) -> VectorsReport:
    """Write the days ``first`` to ``last`` (inclusive) of a table of vectors, each day whole or not at all.

    Args:
        fixed: see ``ensure_vector_table``.
        spine: a table or view of moments with ``day``; it has all of ``fixed`` but the hash.

    Raises:
        FeatureError: see ``compute_windows``.
        PartitionError: where the rows do not belong to the days.
    """
    rows, hashes = 0, []
    added = ensure_vector_table(con, table, fixed, feature_set)
    for block_first, block_last in day_ranges(con, spine, first, last, BLOCK_ROWS):
        block = f"(SELECT * FROM {spine} WHERE day BETWEEN {literal(block_first)} AND {literal(block_last)})"
        result = write_vectors(con, table, fixed, feature_set, block, block_first, block_last)
        rows += result.rows
        hashes += [f"{d.day}:{d.content_hash}" for d in result.days]
    return VectorsReport(first, last, rows, combine_hashes(hashes), feature_set.hash, added)


def ensure_vector_table(
    con: duckdb.DuckDBPyConnection, table: str, fixed: Mapping[str, str], feature_set: FeatureSet
) -> tuple[str, ...]:
    """Create the table, or add the feature columns it lacks; returns those columns.

    Args:
        fixed: the columns besides the features, with their types: ``day`` and ``feature_set_hash`` among them.
    """
    added = ensure_tables(con, {table: {**fixed, **dict.fromkeys(feature_set.outputs, "FLOAT")}})
    return tuple(name for name in added.get(table, ()) if name not in fixed)


def write_vectors(
    con: duckdb.DuckDBPyConnection,
    table: str,
    fixed: Mapping[str, str],
    feature_set: FeatureSet,
    spine: str,
    first: date,
    last: date,
    keep_days: Collection[date] = (),
    inputs_hash: str | Mapping[date, str] | None = None,
) -> PartitionResult:
    """Replace the days ``first`` to ``last`` by the vectors of a spine, in one transaction.

    Args:
        fixed: see ``ensure_vector_table``; the spine has them all but the hash.
        keep_days: days inside the range that keep their old state.
        inputs_hash: what the rows are made from, for all days or for each; default: the feature set's hash.

    Raises:
        FeatureError: see ``compute_windows``.
        PartitionError: where a row does not belong to the days.
    """
    carried = [name for name in fixed if name != "feature_set_hash"]
    made_from = feature_set.hash if inputs_hash is None else inputs_hash
    batches = []
    for columns, matrix in stream_vectors(con, feature_set, spine, carried):
        arrays = [*columns.columns, *(pa.array(matrix[:, j], from_pandas=True) for j in range(matrix.shape[1]))]
        batches.append(pa.RecordBatch.from_arrays(arrays, names=[*carried, *feature_set.outputs]))
    hashed = f"{literal(feature_set.hash)} AS feature_set_hash"
    if not batches:
        empty = f"SELECT * EXCLUDE (feature_set_hash), {hashed} FROM {table} WHERE false"
        return replace_partition(con, table, first, last, empty, day_column="day", keep_days=keep_days, inputs_hash=made_from)
    con.register("pit_vectors", pa.Table.from_batches(batches))
    try:
        rows = f"SELECT *, {hashed} FROM pit_vectors"
        return replace_partition(con, table, first, last, rows, day_column="day", keep_days=keep_days, inputs_hash=made_from)
    finally:
        con.unregister("pit_vectors")
