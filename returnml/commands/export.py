"""``returnml export``: a table of the published copy as a file for other tools."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from returnml.commands.options import DataOption, JsonOption
from returnml.commands.root import settings_of_root
from returnml.errors import Refusal


def export(
    table: Annotated[str, typer.Argument(help="A table or view, e.g. scores.daily.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    form: Annotated[Literal["csv", "parquet"], typer.Option("--format", help="csv or parquet.")] = "csv",
    first: Annotated[str | None, typer.Option("--from", help="First day; default: all.")] = None,
    last: Annotated[str | None, typer.Option("--to-day", help="Last day; default: --from alone.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a table of the published copy to a file, whole or not at all; says how much it wrote."""
    from returnml.analysis.published_tables import open_published, relation
    from returnml.analysis.table_export import export_table

    if last is not None and first is None:
        raise Refusal("--to-day needs --from")
    if out.exists():
        raise Refusal(f"{out}: is there already; nothing is overwritten")
    settings = settings_of_root(data)
    con = open_published(settings.paths.published)
    try:
        days = None if first is None else (first, last or first)
        done = export_table(con, relation(con, table, days), out, form)
    finally:
        con.close()
    if as_json:
        typer.echo(json.dumps(asdict(done)))
        return
    typer.echo(f"{out}: {done.rows} rows of {done.columns} columns, {done.bytes} bytes")
    if done.guarded:
        typer.echo(f"{done.guarded} texts begin as a formula does: each has a ' before it, so that no spreadsheet runs them")
