"""Writing partitions: whole days of a table, replaced in one transaction, with a content hash for each.

The content hash of a day depends on its rows only: not on their order, nor on when or in which range they were
written. It is an aggregate of 64-bit row hashes (count, sum and exclusive or), made for telling "the same" from
"changed"; it is no defence against forgery.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from returnml.errors import Refusal
from returnml.sql import quoted

PARTITIONS_DDL = """
CREATE SCHEMA IF NOT EXISTS ops;
CREATE TABLE IF NOT EXISTS ops.partitions (
    table_name VARCHAR NOT NULL, day DATE NOT NULL, rows BIGINT NOT NULL,
    content_hash VARCHAR NOT NULL, inputs_hash VARCHAR NOT NULL
)
"""


class PartitionError(Refusal):
    """Rows that do not belong to the partition that is written."""


@dataclass(frozen=True)
class PartitionDay:
    """What one day holds after it was written."""

    day: date
    rows: int
    content_hash: str


@dataclass(frozen=True)
class PartitionResult:
    """What a range of days holds after it was written.

    Attributes:
        rows: over all days.
        content_hash: of the day, or over the days' hashes where the range has several.
    """

    table: str
    rows: int
    content_hash: str
    days: tuple[PartitionDay, ...]


def configure(con: duckdb.DuckDBPyConnection, threads: int = 2, memory_limit: str = "2GB") -> None:
    """Set what every warehouse connection must have: UTC, capped resources, no replacement scans, nothing printed."""
    con.execute("SET TimeZone = 'UTC'")
    con.execute(f"SET threads = {int(threads)}")
    con.execute("SET memory_limit = ?", [memory_limit])
    con.execute("SET python_enable_replacements = false")
    con.execute("SET enable_progress_bar = false")


def open_warehouse(
    path: Path | str, *, threads: int = 2, memory_limit: str = "2GB", read_only: bool = False
) -> duckdb.DuckDBPyConnection:
    """Open (and create, with its folder) the warehouse file; ``:memory:`` for tests. The caller closes it."""
    if str(path) != ":memory:" and not read_only:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    con = duckdb.connect(str(path), read_only=read_only)
    configure(con, threads, memory_limit)
    return con


def in_transaction(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether a transaction is open: outside one every statement is a transaction with an id of its own."""
    first, second = (con.execute("SELECT txid_current()").fetchall() for _ in range(2))
    return first == second


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing; inside an open transaction it joins that one, which then commits or rolls back."""
    if in_transaction(con):
        yield
        return
    con.begin()
    try:
        yield
    except BaseException:
        con.rollback()
        raise
    con.commit()


@contextmanager
def registered(con: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame) -> Iterator[None]:
    """A frame under a name that SQL can read."""
    con.register(name, frame)
    yield
    con.unregister(name)  # after a failure the rollback has removed it, and an aborted transaction refuses statements


def replace_partition(
    con: duckdb.DuckDBPyConnection,
    table: str,
    first: date,
    last: date | None,
    rows: str | pl.DataFrame,
    *,
    params: list[Any] | dict[str, Any] | None = None,
    day_column: str = "known_day",
    keep_days: Collection[date] = (),
    inputs_hash: str | Mapping[date, str] = "",
) -> PartitionResult:
    """Replace the days ``first`` to ``last`` of a table by the given rows, in one transaction.

    Args:
        table: schema-qualified; it exists.
        last: inclusive; None for the single day ``first``.
        rows: a SELECT (inserted by name, in its order) or a frame with the table's columns.
        params: of the SELECT.
        keep_days: days inside the range that keep their old state.
        inputs_hash: what the rows were made from, for all days or for each.

    Raises:
        PartitionError: where a row lies outside the days that are replaced; nothing is written then.
    """
    last = first if last is None else last
    replaced = f"{day_column} BETWEEN ? AND ? AND NOT list_contains(?::DATE[], {day_column})"
    bounds = [first, last, list(keep_days)]
    con.execute(PARTITIONS_DDL)
    with transaction(con):
        con.execute(f"DELETE FROM {table} WHERE {replaced}", bounds)
        inserted = _insert(con, table, rows, params)
        found = _content(con, table, day_column, replaced, bounds)
        held = sum(day.rows for day in found.values())
        if held != inserted:
            raise PartitionError(
                f"{table}: {inserted - held} of {inserted} rows have a {day_column} outside {first}..{last} or in a kept day"
            )
        days = tuple(
            found.get(day, PartitionDay(day, 0, _digest(0, 0, 0)))
            for day in (first + timedelta(n) for n in range((last - first).days + 1))
            if day not in set(keep_days)
        )
        _record(con, table, days, inputs_hash)
    content = days[0].content_hash if len(days) == 1 else combine_hashes(f"{d.day}:{d.content_hash}" for d in days)
    return PartitionResult(table, inserted, content, days)


def combine_hashes(parts: Iterator[str] | Collection[str]) -> str:
    """One hash over hashes, in the given order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def content_hashes(con: duckdb.DuckDBPyConnection, table: str, first: date, last: date) -> dict[date, str]:
    """The recorded content hashes of a table's days; days never written are absent."""
    rows = con.execute(
        "SELECT day, content_hash FROM ops.partitions WHERE table_name = ? AND day BETWEEN ? AND ? ORDER BY day",
        [table, first, last],
    ).fetchall()
    return dict(rows)


def day_ranges(con: duckdb.DuckDBPyConnection, table: str, first: date, last: date, rows_wanted: int) -> list[tuple[date, date]]:
    """Consecutive ranges of days of about so many rows of a table (by its ``day``), which together are ``first`` to ``last``."""
    counts = con.execute(
        f"SELECT day, count(*) FROM {table} WHERE day BETWEEN ? AND ? GROUP BY day ORDER BY day", [first, last]
    ).fetchall()
    starts, rows = [first], 0
    for day, count in counts:
        if rows and rows + count > rows_wanted:
            starts.append(day)
            rows = 0
        rows += count
    return list(zip(starts, [*(start - timedelta(days=1) for start in starts[1:]), last], strict=True))


def _insert(
    con: duckdb.DuckDBPyConnection, table: str, rows: str | pl.DataFrame, params: list[Any] | dict[str, Any] | None
) -> int:
    if isinstance(rows, str):
        result = con.execute(f"INSERT INTO {table} BY NAME {rows}", params)
        return _scalar(result)
    with registered(con, "partition_rows", rows):
        return _scalar(con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM partition_rows"))


def _scalar(result: duckdb.DuckDBPyConnection) -> int:
    rows = result.fetchall()
    return int(rows[0][0]) if rows else 0


def _content(
    con: duckdb.DuckDBPyConnection, table: str, day_column: str, condition: str, bounds: list[Any]
) -> dict[date, PartitionDay]:
    described = con.execute(f"DESCRIBE {table}").fetchall()
    columns = quoted(sorted(row[0] for row in described))
    rows = con.execute(
        f"SELECT {day_column}, count(*), sum(hash({columns})::HUGEINT), bit_xor(hash({columns})) "
        f"FROM {table} WHERE {condition} GROUP BY ALL",
        bounds,
    ).fetchall()
    return {day: PartitionDay(day, count, _digest(count, total, xor)) for day, count, total, xor in rows}


def _digest(count: int, total: int, xor: int) -> str:
    return hashlib.sha256(f"{count}:{total}:{xor}".encode()).hexdigest()[:32]


def _record(
    con: duckdb.DuckDBPyConnection, table: str, days: tuple[PartitionDay, ...], inputs_hash: str | Mapping[date, str]
) -> None:
    if not days:
        return
    frame = pl.DataFrame(
        {
            "table_name": [table] * len(days),
            "day": [d.day for d in days],
            "rows": [d.rows for d in days],
            "content_hash": [d.content_hash for d in days],
            "inputs_hash": [inputs_hash if isinstance(inputs_hash, str) else inputs_hash.get(d.day, "") for d in days],
        }
    )
    with registered(con, "partition_days", frame):
        con.execute("DELETE FROM ops.partitions WHERE table_name = ? AND day IN (SELECT day FROM partition_days)", [table])
        con.execute("INSERT INTO ops.partitions BY NAME SELECT * FROM partition_days")
