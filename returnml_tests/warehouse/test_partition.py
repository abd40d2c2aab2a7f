from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from returnml.warehouse.partition import PartitionError, open_warehouse, replace_partition, transaction

D = date(2024, 5, 1)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(":memory:", threads=1) as con:
        con.execute("CREATE TABLE t (known_day DATE, a INTEGER, b VARCHAR)")
        yield con


def _rows(*items: tuple[int, int, str | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [(D + timedelta(n), a, b) for n, a, b in items],
        schema={"known_day": pl.Date, "a": pl.Int32, "b": pl.String},
        orient="row",
    )


def _content(con: duckdb.DuckDBPyConnection) -> list[tuple]:
    return con.execute("SELECT day, rows, content_hash FROM ops.partitions ORDER BY day").fetchall()


def test_a_day_is_replaced_and_the_others_stay(con: duckdb.DuckDBPyConnection):
    replace_partition(con, "t", D, D + timedelta(1), _rows((0, 1, "x"), (1, 2, "y")))
    result = replace_partition(con, "t", D, None, "SELECT DATE '2024-05-01' AS known_day, 'z' AS b, 3 AS a")

    assert con.execute("SELECT a, b FROM t ORDER BY a").fetchall() == [(2, "y"), (3, "z")]
    assert (result.rows, [d.rows for d in result.days]) == (1, [1])


def test_empty_days_of_the_range_are_recorded(con: duckdb.DuckDBPyConnection):
    result = replace_partition(con, "t", D, D + timedelta(2), _rows((1, 1, None)), inputs_hash={D: "of the first day"})

    assert [d.rows for d in result.days] == [0, 1, 0]
    assert con.execute("SELECT inputs_hash FROM ops.partitions ORDER BY day").fetchall() == [("of the first day",), ("",), ("",)]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 5), st.sampled_from([None, "", "x"])), max_size=12), st.randoms())
def test_content_hash_depends_on_rows_only_not_on_order_or_range(items: list[tuple[int, int, str | None]], random):
    shuffled = random.sample(items, len(items))
    contents = []
    for rows, ranges in ((items, [(0, 2)]), (shuffled, [(0, 0), (1, 1), (2, 2)])):
        with open_warehouse(":memory:", threads=1) as con:
            con.execute("CREATE TABLE t (known_day DATE, a INTEGER, b VARCHAR)")
            for first, last in ranges:
                part = _rows(*(r for r in rows if first <= r[0] <= last))
                replace_partition(con, "t", D + timedelta(first), D + timedelta(last), part)
            contents.append(_content(con))
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    "changed", [[(0, 1, "x"), (0, 1, "x")], [(0, 1, None)], [(0, 1, "y")], [(0, 2, "x")], []], ids=lambda c: str(len(c))
)
def test_content_hash_tells_a_change(con: duckdb.DuckDBPyConnection, changed: list[tuple]):
    before = replace_partition(con, "t", D, None, _rows((0, 1, "x")))
    assert replace_partition(con, "t", D, None, _rows(*changed)).content_hash != before.content_hash


def test_a_row_of_another_day_is_refused_and_nothing_is_written(con: duckdb.DuckDBPyConnection):
    replace_partition(con, "t", D, None, _rows((0, 1, "x")))
    with pytest.raises(PartitionError, match=r"1 of 2 rows have a known_day outside 2024-05-01\.\.2024-05-01"):
        replace_partition(con, "t", D, None, _rows((0, 2, "y"), (1, 3, "z")))
    assert con.execute("SELECT a, b FROM t").fetchall() == [(1, "x")]


def test_kept_days_keep_rows_and_record(con: duckdb.DuckDBPyConnection):
    replace_partition(con, "t", D, D + timedelta(1), _rows((0, 1, "x"), (1, 2, "y")))
    before = _content(con)
    replace_partition(con, "t", D, D + timedelta(1), _rows((0, 5, "q")), keep_days=[D + timedelta(1)])

    assert con.execute("SELECT a FROM t ORDER BY a").fetchall() == [(2,), (5,)]
    assert _content(con)[1] == before[1]


def test_an_inner_transaction_joins_the_outer_one(con: duckdb.DuckDBPyConnection):
    def fail_after_writing() -> None:
        with transaction(con):
            replace_partition(con, "t", D, None, _rows((0, 1, "x")))
            raise RuntimeError("after")

    with pytest.raises(RuntimeError, match="after"):
        fail_after_writing()
    assert con.execute("SELECT count(*) FROM t").fetchall() == [(0,)]


def test_a_failing_select_leaves_the_old_state_and_a_usable_connection(con: duckdb.DuckDBPyConnection):
    replace_partition(con, "t", D, None, _rows((0, 1, "x")))
    with pytest.raises(duckdb.Error):
        replace_partition(con, "t", D, None, "SELECT DATE '2024-05-01' AS known_day, 'no number'::INTEGER AS a, 'z' AS b")
    assert con.execute("SELECT a FROM t").fetchall() == [(1,)]
    assert replace_partition(con, "t", D, None, _rows((0, 2, "y"))).rows == 1


_KILLED = """
import os, sys
from datetime import date
from returnml.warehouse.partition import open_warehouse, replace_partition, transaction
con = open_warehouse(sys.argv[1], threads=1)
with transaction(con):
    replace_partition(con, "t", date(2024, 5, 1), None, "SELECT DATE '2024-05-01' AS known_day, 2 AS a, 'new' AS b")
    os.kill(os.getpid(), 9)
"""


def test_a_process_killed_inside_the_transaction_leaves_the_old_state(tmp_path: Path):
    file = tmp_path / "w.duckdb"
    with open_warehouse(file, threads=1) as con:
        con.execute("CREATE TABLE t (known_day DATE, a INTEGER, b VARCHAR)")
        replace_partition(con, "t", D, None, _rows((0, 1, "old")))
        before = _content(con)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(file)], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False
    )
    assert killed.returncode == -9
    with open_warehouse(file, threads=1) as con:
        assert con.execute("SELECT a, b FROM t").fetchall() == [(1, "old")]
        assert _content(con) == before
