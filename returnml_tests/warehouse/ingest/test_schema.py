"""Tables are made once and grow with the contract."""

import duckdb
import pytest

from returnml.warehouse.ingest.schema import (
    ensure_schema,
    tables,
)
from returnml.warehouse.partition import open_warehouse


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = open_warehouse(":memory:")
    ensure_schema(con)
    return con


def columns(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in con.execute(f"DESCRIBE {table}").fetchall()}


def test_every_table_has_its_columns(con: duckdb.DuckDBPyConnection) -> None:
    for table, expected in tables().items():
        assert list(columns(con, table)) == list(expected), table


def test_a_column_of_a_newer_contract_is_added_and_null_in_older_rows(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("ALTER TABLE raw.returns DROP COLUMN is_goods")
    con.execute("INSERT INTO raw.returns (return_id) VALUES ('r1')")
    ensure_schema(con)
    assert columns(con, "raw.returns")["is_goods"] == "BOOLEAN"
    assert con.execute("SELECT return_id, is_goods FROM raw.returns").fetchall() == [("r1", None)]


def test_repeating_it_changes_nothing(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("INSERT INTO raw.returns (return_id) VALUES ('r1')")
    ensure_schema(con)
    assert con.execute("SELECT count(*) FROM raw.returns").fetchall() == [(1,)]
