"""The read-only copy of the warehouse for BI tools and notebooks, which would otherwise lock the writer out."""

from __future__ import annotations

from pathlib import Path

import duckdb

from returnml.files import new_file
from returnml.sql import literal, quote
from returnml.warehouse.publishing.ready_views import SCHEMA, ready_views
from returnml.warehouse.publishing.table_words import column_words, table_words

_COPY = "publishing"


def publish_copy(con: duckdb.DuckDBPyConnection, target: Path) -> Path:
    """Copy the open warehouse to ``target``, with ready views and comments, and put it in place at once.

    Open readers keep the file that they opened; a copy that fails leaves the old one. Must not run inside a transaction.
    """
    (source,) = con.execute("SELECT current_database()").fetchall()[0]
    with new_file(target) as unfinished:
        con.execute(f"ATTACH {literal(str(unfinished))} AS {_COPY}")
        try:
            con.execute(f"COPY FROM DATABASE {quote(source)} TO {_COPY}")
            _add_views(con)
            _add_comments(con)
        finally:
            con.execute(f"DETACH {_COPY}")
    return target


def _add_views(con: duckdb.DuckDBPyConnection) -> None:
    for name, query in ready_views(set(_columns(con))):
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {_COPY}.{SCHEMA}")
        con.execute(f"CREATE OR REPLACE VIEW {_COPY}.{name} AS {query}")


def _add_comments(con: duckdb.DuckDBPyConnection) -> None:
    """To every table and column that there are words for."""
    views = {name for (name,) in con.execute(_VIEWS, [_COPY]).fetchall()}
    words = table_words()
    statements = []
    for name, columns in _columns(con).items():
        schema, _, table = name.partition(".")
        place = f"{_COPY}.{quote(schema)}.{quote(table)}"
        if name in words:
            statements.append(f"COMMENT ON {'VIEW' if name in views else 'TABLE'} {place} IS {literal(words[name])}")
        about = column_words(name)
        statements += [f"COMMENT ON COLUMN {place}.{quote(c)} IS {literal(about[c])}" for c in columns if c in about]
    con.execute("BEGIN")
    for statement in statements:
        con.execute(statement)
    con.execute("COMMIT")


_VIEWS = "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE database_name = ? AND NOT internal"


def _columns(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """By table or view of the copy its columns."""
    rows = con.execute(
        "SELECT schema_name || '.' || table_name, list(column_name) FROM duckdb_columns() WHERE database_name = ? "
        "AND NOT internal GROUP BY ALL",
        [_COPY],
    ).fetchall()
    return dict(rows)
