"""The read-only copy of the warehouse for BI tools and notebooks, which would otherwise lock the writer out."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from returnml.sql import literal, quote


def publish_copy(con: duckdb.DuckDBPyConnection, target: Path) -> Path:
    """Copy the open warehouse to ``target`` and put it in place at once.

    Open readers keep the file that they opened; a copy that fails leaves the old one. Must not run inside a transaction.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    unfinished.unlink(missing_ok=True)
    (source,) = con.execute("SELECT current_database()").fetchall()[0]
    con.execute(f"ATTACH {literal(str(unfinished))} AS publishing")
    try:
        con.execute(f"COPY FROM DATABASE {quote(source)} TO publishing")
    except duckdb.Error:
        con.execute("DETACH publishing")
        unfinished.unlink(missing_ok=True)
        raise
    con.execute("DETACH publishing")
    os.replace(unfinished, target)
    return target
