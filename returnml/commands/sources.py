"""Commands that bring data in: ``simulate``, ``import`` and ``data``. Heavy imports stay inside the functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from returnml.commands.options import DataOption, JsonOption
from returnml.ledger.instants import instant
from returnml.settings import DataPaths, SettingsError, load_settings

import_app = typer.Typer(help="Import a shop's tables into the landing folder.", no_args_is_help=True)
data_app = typer.Typer(help="What was delivered: versions of landing days.", no_args_is_help=True)


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
    lines_per_customer: Annotated[int, typer.Option(help="Mean order lines per customer over the whole span.")] = 14,
) -> None:
    """Simulate a fashion shop: orders, returns and inspections to the landing folder, the truth beside it."""
    from returnml.ledger.clock import clock_of
    from returnml.privacy.customers import open_customers
    from returnml.sources.simulator.plan import Plan, Scenario
    from returnml.sources.simulator.run import simulate as run_simulation

    try:
        settings = load_settings(data=data)
        window_days = settings.label.window_days
        plan = Plan(date.fromisoformat(start), days, lines_per_day, seed, Scenario(scenario), window_days, lines_per_customer)
    except ValueError as error:
        _refuse(str(error), as_json)
    with _refused(as_json), _progress(as_json) as progress:
        customers = open_customers(settings.privacy.customer_ids, settings.paths.keys)
        simulated = run_simulation(plan, settings.paths, clock_of(settings.replay_clock), customers, progress)
    if as_json:
        typer.echo(json.dumps(asdict(simulated)))
        return
    world = "" if plan.scenario is Scenario.NONE else f", scenario {scenario}"
    typer.echo(
        f"{simulated.orders.rows:,} order lines, {simulated.returns.rows:,} returns, {simulated.inspections.rows:,} inspections "
        f"over {days} days{world}; true return probability within {plan.label_window_days} days: {simulated.mean_probability:.1%}"
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
    from returnml.ledger.clock import clock_of
    from returnml.privacy.customers import open_customers
    from returnml.sources.online_retail import import_online_retail

    with _refused(as_json), _progress(as_json) as progress:
        settings = load_settings(data=data)
        clock = clock_of(settings.replay_clock)
        customers = open_customers(settings.privacy.customer_ids, settings.paths.keys)
        imported = import_online_retail(path, settings.paths.landing, clock, customers, progress)
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


@import_app.command("csv")
def import_csv_command(
    orders: Annotated[Path, typer.Argument(help="The table of order lines.")],
    returns: Annotated[Path | None, typer.Argument(help="The table of returns, where the shop has one.")] = None,
    mapping: Annotated[Path, typer.Option("--mapping", help="The declared mapping; see docs/sources.md.")] = Path("mapping.toml"),
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a shop's CSV tables through a declared mapping."""
    _import_mapped("csv", orders, returns, mapping, data, as_json)


@import_app.command("json")
def import_json_command(
    orders: Annotated[Path, typer.Argument(help="The order lines: an array of objects, or one object a line.")],
    returns: Annotated[Path | None, typer.Argument(help="The returns, where the shop has them.")] = None,
    mapping: Annotated[Path, typer.Option("--mapping", help="The declared mapping; see docs/sources.md.")] = Path("mapping.toml"),
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a shop's JSON tables through a declared mapping."""
    _import_mapped("json", orders, returns, mapping, data, as_json)


@data_app.command("log")
def data_log(
    stream: Annotated[str | None, typer.Argument(help="orders, returns or inspections; default: all.")] = None,
    day: Annotated[str | None, typer.Option("--day", help="Only this day, YYYY-MM-DD.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was delivered: every version of every landing day."""
    from returnml.contracts.columns import STREAMS
    from returnml.sources.landing import history

    wanted = None if day is None else _day(day, as_json)
    with _refused(as_json):
        landing = _paths(data).landing
        files = [file for name in ([stream] if stream else STREAMS) for file in history(landing, name, wanted)]
    rows: list[dict[str, Any]] = [
        {
            "stream": file.stream,
            "day": file.day.isoformat(),
            "version": file.version,
            "rows": file.rows,
            "sha256": file.sha256,
            "delivered_at": _instant(file.delivered_at_us),
            "source": file.source,
        }
        for file in files
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(
            f"{row['stream']:<12}{row['day']}  v{row['version']:<4}{row['rows']:>9,} rows  "
            f"{row['sha256'][:12]}  {row['delivered_at']}  {row['source']}"
        )
    typer.echo(f"{len(rows)} versions" if rows else f"nothing delivered below {landing}")


@data_app.command("diff")
def data_diff(
    day: Annotated[str, typer.Argument(help="YYYY-MM-DD.")],
    stream: Annotated[str, typer.Argument(help="orders, returns or inspections.")],
    old: Annotated[int | None, typer.Argument(help="Version; default: the one before the newer one.")] = None,
    new: Annotated[int | None, typer.Argument(help="Version; default: the current one.")] = None,
    limit: Annotated[int, typer.Option(help="Rows to print of each kind; --json prints all.")] = 20,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions of a landing day: rows added, removed and changed, by id."""
    from returnml.sources.versions import diff_versions

    wanted = _day(day, as_json)
    with _refused(as_json):
        difference = diff_versions(_paths(data).landing, stream, wanted, old, new)
    if as_json:
        answer = {
            "stream": stream,
            "day": day,
            "old_version": difference.old.version,
            "new_version": difference.new.version,
            "added": difference.added,
            "removed": difference.removed,
            "changed": [asdict(row) for row in difference.changed],
            "columns_added": difference.columns_added,
            "columns_removed": difference.columns_removed,
        }
        typer.echo(json.dumps(answer, default=str))
        return
    typer.echo(
        f"{stream} {day} v{difference.old.version} -> v{difference.new.version}: {len(difference.added)} rows added, "
        f"{len(difference.removed)} removed, {len(difference.changed)} changed"
    )
    for sign, columns in (("+", difference.columns_added), ("-", difference.columns_removed)):
        for column in columns:
            typer.echo(f"{sign} column {column}")
    for sign, ids in (("+", difference.added), ("-", difference.removed)):
        for row_id in ids[:limit]:
            typer.echo(f"{sign} {row_id}")
    for row in difference.changed[:limit]:
        typer.echo(f"~ {row.id}  " + ", ".join(f"{name}: {was} -> {is_now}" for name, (was, is_now) in row.values.items()))
    longest = max(len(difference.added), len(difference.removed), len(difference.changed))
    if longest > limit:
        typer.echo(f"(the first {limit} of each kind; --limit or --json for all)")


def _import_mapped(
    file_format: Literal["csv", "json"], orders: Path, returns: Path | None, mapping: Path, data: str | None, as_json: bool
) -> None:
    from returnml.ledger.clock import clock_of
    from returnml.privacy.customers import open_customers
    from returnml.sources.mapped_tables import import_mapped

    with _refused(as_json), _progress(as_json) as progress:
        settings = load_settings(data=data)
        clock = clock_of(settings.replay_clock)
        landing = settings.paths.landing
        customers = open_customers(settings.privacy.customer_ids, settings.paths.keys)
        done = import_mapped(file_format, mapping, orders, returns, landing, settings.label, clock, customers, progress)
    if as_json:
        typer.echo(json.dumps(asdict(done)))
        return
    for stream in (done.orders, done.returns):
        if stream is not None:
            typer.echo(
                f"{stream.rows:,} {stream.stream}: {stream.days_written} days delivered, {stream.days_unchanged} unchanged"
            )
    if done.has_only_flags:
        typer.echo("a flag per line and no return times: labels, features and scores are made, forecasts of returns are not")
    if done.young_flags:
        typer.echo(f"{done.young_flags:,} lines were younger than the return window: their flag is not final and was left out")


def _day(text: str, as_json: bool) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        _refuse(f"{text!r} is no day YYYY-MM-DD", as_json)


def _instant(us: int) -> str:
    return f"{instant(us):%Y-%m-%d %H:%M:%S}"


def _paths(data: str | None) -> DataPaths:
    return load_settings(data=data).paths


@contextmanager
def _refused(as_json: bool = False) -> Iterator[None]:
    """Turn what a user can cause into one line on stderr and exit code 2."""
    from returnml.ledger.clock import ClockError
    from returnml.privacy.keyring import KeyringError
    from returnml.sources.errors import SourceError
    from returnml.sources.landing import LandingError

    # both are ValueErrors, as is what a frame that does not fit raises; that one is our defect and stays a traceback
    try:
        yield
    except (SourceError, LandingError, SettingsError, ClockError, KeyringError) as error:
        _refuse(str(error), as_json)


def _refuse(message: str, as_json: bool) -> NoReturn:
    typer.echo(json.dumps({"error": message}) if as_json else f"refused: {message}", err=True)
    raise typer.Exit(2)


@contextmanager
def _progress(is_quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr; nothing where no one looks or another program reads along."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=is_quiet or not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda label, done, total: bar.update(task, description=label, completed=done, total=total or None)
