"""``returnml export`` writes what the copy holds, once, and refuses in one line."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml.settings import DataPaths
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.bi_copy import publish_copy
from returnml_tests.roots import rooted


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = rooted(tmp_path / "root")
    with open_warehouse(tmp_path / "w.duckdb", threads=1) as con:
        con.execute("CREATE SCHEMA core")
        con.execute("CREATE TABLE core.a AS SELECT DATE '2025-01-01' + n::INTEGER AS day, '=' || n AS t FROM range(3) r(n)")
        publish_copy(con, DataPaths(folder).published)
    return folder


def run(*words: object):
    return CliRunner().invoke(app, ["export", *map(str, words)])


def test_days_of_a_table_are_written_and_counted(root: Path, tmp_path: Path):
    out = tmp_path / "a.csv"
    done = run("core.a", out, "--from", "2025-01-02", "--to-day", "2025-01-03", "--data", root, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == {"rows": 2, "columns": 2, "guarded": 2, "bytes": out.stat().st_size}
    assert pl.read_csv(out)["t"].to_list() == ["'=1", "'=2"]
    said = run("core.a", tmp_path / "a.parquet", "--format", "parquet", "--data", root)
    assert "3 rows of 2 columns" in said.output
    assert pl.read_parquet(tmp_path / "a.parquet")["t"].to_list() == ["=0", "=1", "=2"]


def test_what_cannot_be_written_is_refused(root: Path, tmp_path: Path):
    out = tmp_path / "a.csv"
    assert "did you mean core.a" in run("core.b", out, "--data", root).output
    assert "'x' is no day" in run("core.a", out, "--from", "x", "--data", root).output
    assert "--to-day needs --from" in run("core.a", out, "--to-day", "2025-01-01", "--data", root).output
    assert not out.exists()
    out.write_text("mine")
    refused = run("core.a", out, "--data", root)
    assert refused.exit_code == 2
    assert "nothing is overwritten" in refused.output
    assert out.read_text() == "mine"
