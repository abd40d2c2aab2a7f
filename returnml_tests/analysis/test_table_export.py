"""Exports: every row, no formula, counted."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import polars as pl

from returnml.analysis.table_export import Exported, export_table

ROWS = """SELECT * FROM (VALUES (1, '=1+1', 'a'::BLOB), (2, '-2', NULL), (3, 'plain', NULL), (4, NULL, NULL), (-5, 'x=1', NULL))
t(n, "the text", b) ORDER BY abs(n)"""


def test_csv_has_no_formula_and_says_how_many_were_guarded(tmp_path: Path):
    con, target = duckdb.connect(), tmp_path / "o'ut.csv"
    done = export_table(con, con.sql(ROWS), target, "csv")
    assert done == Exported(5, 3, 2, target.stat().st_size)
    rows = list(csv.reader(target.open()))
    assert rows == [
        ["n", "the text", "b"],
        ["1", "'=1+1", "61"],
        ["2", "'-2", ""],
        ["3", "plain", ""],
        ["4", "", ""],
        ["-5", "x=1", ""],
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["o'ut.csv"]


def test_parquet_has_the_values_as_they_are(tmp_path: Path):
    con, target = duckdb.connect(), tmp_path / "out.parquet"
    done = export_table(con, con.sql(ROWS), target, "parquet")
    assert (done.rows, done.guarded) == (5, 0)
    assert pl.read_parquet(target).rows() == con.sql(ROWS).pl().rows()
