"""Commands that bring data in: ``simulate``, ``import`` and ``data``. Heavy imports stay inside the functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from returnml.settings import DataPaths, SettingsError, load_settings

import_app = typer.Typer(help="Import a shop's tables into the landing folder.", no_args_is_help=True)
data_app = typer.Typer(help="What was delivered: versions of landing days.", no_args_is_help=True)

DataOption = Annotated[str | None, typer.Option("--data", help="Data root (setting `data`).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def simulate(
    days: Annotated[int, typer.Option(help="Days to simulate.")] = 120,
    lines_per_day: Annotated[int, typer.Option(help="Mean order lines per day.")] = 1_000,
    seed: Annotated[int, typer.Option(help="The same options with the same seed give the same bytes.")] = 1,
    scenario: Annotated[
        str, typer.Option(help="Drift at two thirds: none, sizing_change, voucher_campaign, new_market or broken_column.")
    ] = "none",
    start: Annotated[str, typer.Option(help="First day, YYYY-MM-DD.")] = "2025-01-01",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate a fashion shop: orders, returns and inspections to the landing folder, the truth beside it."""
    from returnml.ledger.clock import SystemClock
    from returnml.sources.simulator.plan import Plan, Scenario
    from returnml.sources.simulator.run import simulate as run_simulation

    try:
        settings = load_settings(data=data)
        plan = Plan(date.fromisoformat(start), days, lines_per_day, seed, Scenario(scenario), settings.label.window_days)
    except ValueError as error:
        _refuse(str(error), as_json)
    with _refused(as_json), _progress(as_json) as progress:
        simulated = run_simulation(plan, settings.paths, SystemClock(), progress)
    if as_json:
        typer.echo(json.dumps(asdict(simulated)))
        return
    typer.echo(
        f"{simulated.orders.rows:,} order lines, {simulated.returns.rows:,} returns, {simulated.inspections.rows:,} inspections "
        f"over {days} days ({scenario}); true return probability within {plan.label_window_days} days: "
        f"{simulated.mean_probability:.1%}"
    )
    for stream in (simulated.orders, simulated.returns, simulated.inspections):
        typer.echo(f"  {stream.stream}: {stream.days_written} days delivered, {stream.days_unchanged} unchanged")
    typer.echo(f"  landing: {settings.paths.landing}\n  truth:   {settings.paths.truth}")


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
        _refuse(str(error), as_json)


def _refuse(message: str, as_json: bool) -> NoReturn:
    typer.echo(json.dumps({"error": message}) if as_json else f"refused: {message}", err=True)
    raise typer.Exit(2)


@contextmanager
def _progress(is_quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr; nothing where another program reads along."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=is_quiet) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda label, done, total: bar.update(task, description=label, completed=done, total=total)
