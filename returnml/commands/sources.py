"""Commands that bring data in: ``simulate``, ``import`` and ``data``. Heavy imports stay inside the functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from returnml.settings import DataPaths, SettingsError, load_settings

import_app = typer.Typer(help="Import a shop's tables into the landing folder.", no_args_is_help=True)
data_app = typer.Typer(help="What was delivered: versions of landing days.", no_args_is_help=True)

DataOption = Annotated[str | None, typer.Option("--data", help="Data root (setting `data`).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@import_app.command("online-retail")
def import_online_retail_command(
    path: Annotated[Path, typer.Argument(help="Folder of the daily Online Retail CSV files.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import the Online Retail files; returns are linked to order lines and the coverage is printed."""
    from returnml.ledger.clock import SystemClock
    from returnml.sources.online_retail import import_online_retail

    with _refused(as_json):
        imported = import_online_retail(path, _paths(data).landing, SystemClock())
    coverage = imported.coverage
    if as_json:
        typer.echo(json.dumps(asdict(imported) | {"linked_share": coverage.linked_share}))
        return
    typer.echo(f"{imported.rows:,} raw rows: {imported.orders.rows:,} order rows, {imported.returns.rows:,} return rows")
    for stream in (imported.orders, imported.returns):
        typer.echo(f"  {stream.stream}: {stream.days_written} days delivered, {stream.days_unchanged} unchanged")
    typer.echo(
        f"returns linked to an order line: {coverage.linked:,} of {coverage.linkable:,} with customer, price and goods "
        f"({coverage.linked_share:.1%}; {coverage.split} in part; {coverage.within_30_days:,} within 30 days)"
    )
    typer.echo(
        f"  without a line: {coverage.unmatched:,} no earlier purchase, {coverage.exhausted:,} line fully returned, "
        f"{coverage.not_linkable:,} no customer, price or goods"
    )


def _paths(data: str | None) -> DataPaths:
    return load_settings(data=data).paths


@contextmanager
def _refused(as_json: bool = False) -> Iterator[None]:
    """Turn what a user can cause into one line on stderr and exit code 2."""
    from returnml.sources.errors import SourceError
    from returnml.sources.landing import LandingError

    try:
        yield
    except (SourceError, LandingError, SettingsError) as error:
        typer.echo(json.dumps({"error": str(error)}) if as_json else f"refused: {error}", err=True)
        raise typer.Exit(2) from error
