"""A query against a database, from a mark on: SQLite here, PostgreSQL where it is installed (`make test-services`)."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from returnml.clock import VirtualClock
from returnml.instants import instant_us
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import LabelSettings
from returnml.sources.exports.database_rows import query_rows
from returnml.sources.import_error import SourceError
from returnml.sources.mapped.mapped_tables import Given, MappedImport, import_mapped
from returnml.sources.mapped.mapping import load_mapping
from returnml.sources.mapped.marks import read_marks
from returnml_tests.postgresql_server import postgresql, program

MAPPING = """shop = "db"
[orders]
query = "SELECT id, orderno, at, who, what, n, price, changed FROM lines WHERE changed >= :mark ORDER BY changed, id"
mark = "changed"
mark_start = 0
[orders.columns]
line_id = "id"
order_id = "orderno"
ordered_at = "at"
customer_id = "who"
article_id = "what"
quantity = "n"
unit_price_cents = "price"
[orders.constants]
currency = "EUR"
[returns]
query = "SELECT id, at, line, n, refund FROM back"
[returns.columns]
return_id = "id"
returned_at = "at"
line_id = "line"
quantity = "n"
refund_cents = "refund"
[returns.constants]
currency = "EUR"
"""
TABLES = (
    "CREATE TABLE lines (id TEXT, orderno TEXT, at TEXT, who INTEGER, what TEXT, n INTEGER, price NUMERIC(9,2), changed INTEGER)",
    "CREATE TABLE back (id TEXT, at TEXT, line TEXT, n INTEGER, refund NUMERIC(9,2))",
    "INSERT INTO lines VALUES ('a', 'o', '2025-01-01 10:00:00', 7, 'x', 1, 12.5, 1)",
    "INSERT INTO lines VALUES ('b', 'o', '2025-01-01', NULL, 'y', 2, 7, 5)",
    "INSERT INTO back VALUES ('r', '2025-01-09', 'a', 1, 12.5)",
)


def _import(folder: Path, url: str) -> MappedImport:
    (folder / "mapping.toml").write_text(MAPPING)
    given = Given(folder / "mapping.toml", {}, database=url)
    clock = VirtualClock(instant_us(datetime(2025, 8, 1)))
    return import_mapped(given, folder / "landing", LabelSettings(), clock, AS_DELIVERED)


def _counts(done: MappedImport) -> tuple[int, int, int, int]:
    return done.orders.rows, done.orders.new, done.orders.replaced, done.orders.unchanged


def test_sqlite_is_read_from_the_mark_on(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as con:
        for statement in TABLES:
            con.execute(statement)
    url = f"sqlite:///{path}"
    done = _import(tmp_path, url)
    assert _counts(done) == (2, 2, 0, 0)
    assert done.returns is not None
    assert done.returns.new == 1
    assert read_marks(tmp_path / "landing", "db") == {"orders": 5}
    with sqlite3.connect(path) as con:
        con.execute("INSERT INTO lines VALUES ('c', 'p', '2025-01-02', 7, 'x', 1, 3.25, 6)")
        con.execute("UPDATE lines SET n = 3, changed = 7 WHERE id = 'a'")
    assert _counts(_import(tmp_path, url)) == (3, 1, 1, 1)
    assert read_marks(tmp_path / "landing", "db") == {"orders": 7}
    assert _counts(_import(tmp_path, url)) == (1, 0, 0, 1)


def test_what_a_database_cannot_answer_is_refused_without_its_url(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/secret.db"
    with pytest.raises(SourceError, match=r"orders: no such table: lines \[database\]") as refused:
        _import(tmp_path, url)
    assert "secret" not in str(refused.value)
    assert not (tmp_path / "landing" / "orders").exists()
    with pytest.raises(SourceError, match=r"column 'm': is to be the mark, the query has a \[required_column\]"):
        query_rows(url, "orders", "SELECT 1 AS a WHERE 1 > :mark", ".", "m", 0)
    with pytest.raises(SourceError, match=r"column 'a': expected one value, got bytes \[nested_value\]"):
        query_rows(url, "orders", "SELECT x'00' AS a", ".")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mark_start = 0\n", "", r"column 'orders.mark': needs mark_start, and a query that names :mark"),
        (">= :mark", ">= 0", r"needs mark_start, and a query that names :mark"),
        ('line_id = "id"', 'line_id = ["orderno", "#"]', r"cannot be read in parts: one is not told from another"),
    ],
)
def test_a_mark_needs_a_start_and_ids(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING.replace(old, new, 1))
    with pytest.raises(SourceError, match=message):
        load_mapping(tmp_path / "mapping.toml")


@pytest.fixture
def server() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with postgresql(Path(folder) / "server") as url:
            yield url


@pytest.mark.skipif(program("initdb") is None, reason="PostgreSQL is not installed; make test-services installs it")
def test_postgresql_is_read_with_its_types(tmp_path: Path, server: str) -> None:
    import sqlalchemy as sa

    url = server
    with sa.create_engine(url).begin() as con:
        for statement in TABLES:
            con.execute(sa.text(statement.replace(" at TEXT", " at TIMESTAMPTZ").replace("changed INTEGER", "changed BIGINT")))
    assert _counts(_import(tmp_path, url)) == (2, 2, 0, 0)
    assert _counts(_import(tmp_path, url)) == (1, 0, 0, 1)
    answer = query_rows(url, "t", "SELECT at, price, n, who FROM lines ORDER BY id", ".")
    assert answer.rows["price"].to_list() == ["12.5", "7"]
    assert answer.rows["n"].to_list() == ["1", "2"]
    assert answer.rows["who"].to_list() == ["7", None]
    assert answer.rows["at"].str.ends_with("Z").all()
