"""Tables are made from their declared columns, and get those that are declared later."""

from datetime import date

import duckdb
import polars as pl
import pytest

from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.tables import ensure_tables, table_frame

COLUMNS = {"day": "DATE", "rank": "TINYINT", "value": "FLOAT"}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return open_warehouse(":memory:")


def test_a_table_is_made_with_its_schema_once(con: duckdb.DuckDBPyConnection) -> None:
    wanted = {"a.first": COLUMNS, "b.second": {"day": "DATE"}}
    assert ensure_tables(con, wanted) == {"a.first": ("day", "rank", "value"), "b.second": ("day",)}
    assert [(row[0], row[1]) for row in con.execute("DESCRIBE a.first").fetchall()] == list(COLUMNS.items())
    assert ensure_tables(con, wanted) == {}


def test_a_column_that_is_declared_later_is_null_in_older_rows(con: duckdb.DuckDBPyConnection) -> None:
    ensure_tables(con, {"a.first": {"gone": "VARCHAR", "day": "DATE"}})
    con.execute("INSERT INTO a.first VALUES ('kept', DATE '2025-01-02')")
    assert ensure_tables(con, {"a.first": COLUMNS}) == {"a.first": ("rank", "value")}
    assert con.execute("SELECT * FROM a.first").fetchall() == [("kept", date(2025, 1, 2), None, None)]


def test_all_tables_or_none(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.Error):
        ensure_tables(con, {"a.first": COLUMNS, "b.second": {"day": "NO_SUCH_TYPE"}})
    assert con.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]


def test_a_frame_has_the_types_of_its_table() -> None:
    frame = table_frame([(date(2025, 1, 2), 3, None)], COLUMNS)
    assert frame.schema == {"day": pl.Date, "rank": pl.Int8, "value": pl.Float32}
    assert frame.rows() == [(date(2025, 1, 2), 3, None)]
    assert table_frame((), COLUMNS).schema == frame.schema
