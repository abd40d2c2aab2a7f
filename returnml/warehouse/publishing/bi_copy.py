"""The read-only copy of the warehouse for BI tools and notebooks, which would otherwise lock the writer out."""

from __future__ import annotations

from pathlib import Path

import duckdb

from returnml.files import new_file
from returnml.sql import literal, quote


def publish_copy(con: duckdb.DuckDBPyConnection, target: Path) -> Path:
    """Copy the open warehouse to ``target`` and put it in place at once.

    Open readers keep the file that they opened; a copy that fails leaves the old one. Must not run inside a transaction.
    """
    (source,) = con.execute("SELECT current_database()").fetchall()[0]
    with new_file(target) as unfinished:
        con.execute(f"ATTACH {literal(str(unfinished))} AS publishing")
        try:
            con.execute(f"COPY FROM DATABASE {quote(source)} TO publishing")
        finally:
            con.execute("DETACH publishing")
    return target
