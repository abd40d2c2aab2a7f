"""Tables from their declared columns, and frames that fit them.

Not here: which columns a table has. ``schema`` declares those of ingestion and validation; later stages' stand in the modules
that write them. ``ops.partitions`` belongs to ``partition``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa

from returnml.sql import quote
from returnml.warehouse.partition import transaction

Columns = Mapping[str, str]
"""A table's columns in order, with their SQL types."""

_POLARS = {
    "DATE": pl.Date,
    "VARCHAR": pl.String,
    "TINYINT": pl.Int8,
    "BIGINT": pl.Int64,
    "FLOAT": pl.Float32,
    "DOUBLE": pl.Float64,
    "BOOLEAN": pl.Boolean,
}
_ARROW = {
    "DATE": pa.date32(),
    "VARCHAR": pa.string(),
    "JSON": pa.string(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
    "BLOB": pa.large_binary(),
}


def ensure_tables(con: duckdb.DuckDBPyConnection, wanted: Mapping[str, Columns]) -> dict[str, tuple[str, ...]]:
    """Create the tables that are not there yet and add the columns that others lack; repeating it changes nothing.

    Rows written before a column was added hold null in it.

    Args:
        wanted: the columns of each schema-qualified table. Those that a table has besides stay.

    Returns:
        By table the columns that it did not have before; tables that had all of them are left out.
    """
    rows = con.execute(
        "SELECT schema_name || '.' || table_name AS name, list(column_name) FROM duckdb_columns() "
        "WHERE database_name = current_database() AND list_contains(?, schema_name || '.' || table_name) GROUP BY ALL",
        [list(wanted)],
    ).fetchall()
    present = dict(rows)
    added = {table: tuple(c for c in columns if c not in present.get(table, ())) for table, columns in wanted.items()}
    added = {table: columns for table, columns in added.items() if columns}
    if not added:
        return {}
    with transaction(con):
        for schema in dict.fromkeys(table.partition(".")[0] for table in added):
            con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for table, names in added.items():
            declared = [f"{quote(name)} {wanted[table][name]}" for name in names]
            if table in present:
                for column in declared:
                    con.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
            else:
                con.execute(f"CREATE TABLE {table} ({', '.join(declared)})")
    return added


def present_tables(con: duckdb.DuckDBPyConnection) -> set[str]:
    """The schema-qualified names of all tables."""
    return {name for (name,) in con.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall()}


def column_types(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """A table's columns in order, with their SQL types."""
    return {row[0]: row[1] for row in con.execute(f"DESCRIBE {table}").fetchall()}


def arrow_schema(columns: Columns) -> pa.Schema:
    """Of rows that are to be inserted into a table; JSON is text."""
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])


def table_frame(rows: Iterable[tuple[Any, ...]], columns: Columns) -> pl.DataFrame:
    """Rows, with values in the order of a table's columns, as a frame that fits it."""
    return pl.DataFrame(list(rows), schema={name: _POLARS[kind] for name, kind in columns.items()}, orient="row")
