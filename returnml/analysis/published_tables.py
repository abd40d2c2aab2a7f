"""The tables of the published copy, opened read-only: the line's writer is never waited for and never made to wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from returnml.analysis.analysis_errors import NoDays, NotPublished, UnknownTable, nearest
from returnml.sql import literal, quote, quoted
from returnml.warehouse.partition import configure
from returnml.warehouse.tables import column_types

DAY_COLUMNS = ("day", "known_day")
"""What partitions are cut by: the first of these that a table has."""

Days = date | str | tuple[date | str, date | str] | None
"""A day, or first and last day (inclusive), as dates or ``YYYY-MM-DD``; None: all."""


@dataclass(frozen=True)
class PublishedTable:
    """A table or view of the copy.

    Attributes:
        day_column: what its days are told by; None where it has none.
        comment: what a row is.
    """

    name: str
    is_view: bool
    columns: int
    day_column: str | None
    comment: str | None


def open_published(path: Path) -> duckdb.DuckDBPyConnection:
    """A connection of its own to the copy, read-only; later publications do not change what it sees.

    Raises:
        NotPublished: where there is none.
    """
    if not path.exists():
        raise NotPublished(f"{path}: the line has published nothing yet: returnml run, or the Dagster asset published_copy")
    # Attached to a connection in memory: DuckDB would else hand out the same file again, though another was put in its place.
    con = duckdb.connect()
    configure(con)
    try:
        con.execute(f"ATTACH {literal(str(path))} AS published (READ_ONLY)")
        con.execute("USE published")
    except duckdb.Error as error:
        con.close()
        raise NotPublished(f"{path}: cannot be opened: {error}") from error
    return con


def list_tables(con: duckdb.DuckDBPyConnection) -> list[PublishedTable]:
    """Every table and view, by name."""
    rows = con.execute(
        """
        WITH named AS (
            SELECT schema_name || '.' || table_name AS name, false AS is_view, comment FROM duckdb_tables()
            WHERE database_name = current_database()
            UNION ALL
            SELECT schema_name || '.' || view_name, true, comment FROM duckdb_views()
            WHERE database_name = current_database() AND NOT internal
        ), held AS (
            SELECT schema_name || '.' || table_name AS name, list(column_name) AS columns FROM duckdb_columns()
            WHERE database_name = current_database() GROUP BY ALL
        )
        SELECT name, is_view, columns, comment FROM named JOIN held USING (name) ORDER BY name
        """
    ).fetchall()
    return [
        PublishedTable(name, is_view, len(columns), next((d for d in DAY_COLUMNS if d in columns), None), comment)
        for name, is_view, columns, comment in rows
    ]


def relation(
    con: duckdb.DuckDBPyConnection, name: str, days: Days = None, columns: Sequence[str] | None = None
) -> duckdb.DuckDBPyRelation:
    """Rows of a table or view, not read yet.

    Args:
        days: of tables that are cut into days.
        columns: in this order; default: all.

    Raises:
        UnknownTable: where there is no such table, or no such column in it.
        NoDays: where days are asked of a table without, or are none.
    """
    known = {table.name: table for table in list_tables(con)}
    if name not in known:
        raise UnknownTable(f"table {name!r}: there is none; {nearest(name, known)}")
    held = column_types(con, name)
    absent = [column for column in columns or () if column not in held]
    if absent:
        raise UnknownTable(f"table {name}: no column {absent[0]!r}; {nearest(absent[0], held)}")
    listed = "*" if columns is None else quoted(columns)
    schema, _, table = name.partition(".")
    query = f"SELECT {listed} FROM {quote(schema)}.{quote(table)}"
    if days is None:
        return con.sql(query)
    column = known[name].day_column
    if column is None:
        raise NoDays(f"table {name}: is not cut into days (it has none of the columns {', '.join(DAY_COLUMNS)})")
    first, last = day_range(days)
    return con.sql(f"{query} WHERE {column} BETWEEN {literal(first)} AND {literal(last)}")


def day_range(days: date | str | tuple[date | str, date | str]) -> tuple[date, date]:
    """First and last day.

    Raises:
        NoDays: where a text is no day, or the last lies before the first.

    >>> day_range("2025-03-01")
    (datetime.date(2025, 3, 1), datetime.date(2025, 3, 1))
    >>> day_range(("2025-03-02", "2025-03-01"))
    Traceback (most recent call last):
    ...
    returnml.analysis.analysis_errors.NoDays: days 2025-03-02 to 2025-03-01: the last lies before the first
    """
    first, last = days if isinstance(days, tuple) else (days, days)
    found = _day(first), _day(last)
    if found[1] < found[0]:
        raise NoDays(f"days {found[0]} to {found[1]}: the last lies before the first")
    return found


def _day(day: date | str) -> date:
    if isinstance(day, date):
        return day
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise NoDays(f"{day!r} is no day YYYY-MM-DD") from None
