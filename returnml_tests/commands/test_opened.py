"""Commands say what is wrong with a warehouse that they cannot open."""

import subprocess
import sys
from pathlib import Path

import pytest

from returnml.commands.opened import opened
from returnml.errors import Refusal
from returnml.warehouse.partition import open_warehouse

HOLDER = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


def test_it_is_closed_behind_whoever_used_it(tmp_path: Path):
    path = tmp_path / "shop.duckdb"
    open_warehouse(path).close()
    with opened(path) as con:
        con.execute("CREATE TABLE t AS SELECT 1 AS n")
    with opened(path, read_only=True) as con:
        assert con.execute("SELECT n FROM t").fetchall() == [(1,)]


def test_one_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(Refusal, match=r"shop\.duckdb is not there yet: run the line first"), opened(tmp_path / "shop.duckdb"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read_only", [True, False])
def test_one_that_another_process_writes_is_named(tmp_path: Path, read_only: bool):
    path = tmp_path / "shop.duckdb"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(Refusal, match="the warehouse is in use by another process"), opened(path, read_only=read_only):
            pass
        holder.communicate()
