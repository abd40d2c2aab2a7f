"""Tables of the published copy as files for other tools, counted: CSV that no spreadsheet runs as formulas, and Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from returnml.files import new_file
from returnml.sql import literal, quote

Format = Literal["csv", "parquet"]
FORMULA = r"^[=+\-@\t\r]"
"""How a text begins that a spreadsheet takes for a formula."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        guarded: texts that begin as a formula does; in CSV each has a ``'`` before it.
    """

    rows: int
    columns: int
    guarded: int
    bytes: int


def export_table(con: duckdb.DuckDBPyConnection, rows: duckdb.DuckDBPyRelation, target: Path, form: Format) -> Exported:
    """Write a relation to a file, whole or not at all.

    Args:
        con: the connection that the relation is of.
        form: CSV has a header, UTF-8, null as nothing and bytes in hex; Parquet has the values as they are.
    """
    kinds = dict(zip(rows.columns, map(str, rows.types), strict=True))
    con.execute(f"CREATE OR REPLACE TEMP VIEW exported_rows AS {rows.sql_query()}")
    try:
        counts = ["count(*)", *(_begins(c) for c, kind in kinds.items() if form == "csv" and _is_text(kind))]
        found = con.execute(f"SELECT {', '.join(counts)} FROM exported_rows").fetchall()[0]
        options = "FORMAT csv, HEADER" if form == "csv" else "FORMAT parquet"
        columns = ", ".join(_column(c, kind, form) for c, kind in kinds.items())
        with new_file(target) as unfinished:
            con.execute(f"COPY (SELECT {columns} FROM exported_rows) TO {literal(str(unfinished))} ({options})")
    finally:
        con.execute("DROP VIEW IF EXISTS temp.exported_rows")
    return Exported(found[0], len(kinds), sum(found[1:]), target.stat().st_size)


def _is_text(kind: str) -> bool:
    return kind in ("VARCHAR", "JSON") or kind.endswith("[]")


def _text(column: str) -> str:
    return f"{quote(column)}::VARCHAR"


def _begins(column: str) -> str:
    return f"count(*) FILTER (WHERE regexp_matches({_text(column)}, {literal(FORMULA)}))"


def _column(column: str, kind: str, form: Format) -> str:
    name = quote(column)
    if form == "csv" and kind == "BLOB":
        return f"hex({name}) AS {name}"
    if form == "csv" and _is_text(kind):
        text = _text(column)
        return f"CASE WHEN regexp_matches({text}, {literal(FORMULA)}) THEN '''' || {text} ELSE {text} END AS {name}"
    return name
