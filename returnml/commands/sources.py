"""``returnml simulate`` and ``returnml import``: what brings data in. Heavy imports stay inside the functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import Commands
from returnml.commands.root import made_root
from returnml.errors import Refusal
from returnml.instants import written_us
from returnml.settings import load_settings

if TYPE_CHECKING:
    from returnml.sources.delivery import Delivered
    from returnml.sources.mapped.mapped_tables import Given


class EqualRows(StrEnum):
    """What rows are that may have been delivered before."""

    SAME = "same"
    FURTHER = "further"


class FileFormat(StrEnum):
    """What the files of an import are."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    EXCEL = "excel"


class BadRows(StrEnum):
    """What becomes of rows that cannot be read."""

    REFUSE = "refuse"
    QUARANTINE = "quarantine"


LoseOption = Annotated[bool, typer.Option("--replace", help="Lose what the days had before and this delivery does not have.")]
PeriodOption = Annotated[
    str | None,
    typer.Option(
        "--replace",
        metavar="FROM..TO",
        help="The files are all there is of these days of the shop (YYYY-MM-DD..YYYY-MM-DD): what they lack is lost. "
        "Default: rows are added, and take the place of those with their ids.",
    ),
]
EqualRowsOption = Annotated[
    EqualRows | None,
    typer.Option(
        "--equal-rows",
        help="Of rows without ids of their own that look as if another file had delivered them: same, the file says them again; "
        "further, they are further rows.",
    ),
]

import_app = Commands(help="Import a shop's tables into the landing folder.", no_args_is_help=True)


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
    may_lose: LoseOption = False,
    own_columns: Annotated[
        bool, typer.Option("--own-columns", help="With birth date, registration, material and supplier, which matter there.")
    ] = False,
) -> None:
    """Simulate a fashion shop: orders, returns and inspections to the landing folder, the truth beside it."""
    from returnml.clock import clock_of
    from returnml.privacy.customers import open_customers
    from returnml.sources.delivery import Words
    from returnml.sources.simulator.simulation import simulate as run_simulation
    from returnml.sources.simulator.simulation_plan import (
        Plan,
        Scenario,
    )

    try:
        settings = load_settings(data=data)
        window_days = settings.label.window_days
        world_of = Scenario(scenario)
        first = date.fromisoformat(start)
        plan = Plan(first, days, lines_per_day, seed, world_of, window_days, lines_per_customer, own_columns)
    except ValueError as error:
        raise Refusal(str(error)) from error
    with _progress(as_json) as progress:
        clock, words, live_us = clock_of(settings.replay_clock), Words(may_lose=may_lose), written_us(settings.go_live)
        made_root(settings, "simulate", clock)
        simulated = run_simulation(
            plan, settings.paths, clock, open_customers(settings), progress, words=words, go_live_us=live_us
        )
    if as_json:
        typer.echo(json.dumps(asdict(simulated)))
        return
    world = "" if plan.scenario is Scenario.NONE else f", scenario {scenario}"
    typer.echo(
        f"{simulated.orders.rows:,} order lines, {simulated.returns.rows:,} returns, {simulated.inspections.rows:,} inspections "
        f"over {days} days{world}; true return probability within {plan.label_window_days} days: {simulated.mean_probability:.1%}"
    )
    _print_delivered(simulated.orders, simulated.returns, simulated.inspections)
    typer.echo(f"  landing: {settings.paths.landing}\n  truth:   {settings.paths.truth}")


@import_app.command("online-retail")
def import_online_retail_command(
    path: Annotated[Path, typer.Argument(help="Folder of the daily Online Retail CSV files.")],
    data: DataOption = None,
    as_json: JsonOption = False,
    may_lose: LoseOption = False,
) -> None:
    """Import the Online Retail files; returns are linked to order lines and the coverage is printed."""
    from returnml.clock import clock_of
    from returnml.privacy.customers import open_customers
    from returnml.sources.delivery import Words
    from returnml.sources.online_retail import import_online_retail

    with _progress(as_json) as progress:
        settings = load_settings(data=data)
        clock = clock_of(settings.replay_clock)
        made_root(settings, "import online-retail", clock)
        customers = open_customers(settings)
        landing, words, live_us = settings.paths.landing, Words(may_lose=may_lose), written_us(settings.go_live)
        imported = import_online_retail(path, landing, clock, customers, progress, words=words, go_live_us=live_us)
    coverage = imported.coverage
    if as_json:
        typer.echo(json.dumps(asdict(imported) | {"linked_share": coverage.linked_share}))
        return
    typer.echo(f"{imported.rows:,} raw rows: {imported.orders.rows:,} order rows, {imported.returns.rows:,} return rows")
    _print_delivered(imported.orders, imported.returns)
    typer.echo(
        f"returns linked to an order line: {coverage.linked:,} of {coverage.linkable:,} with customer, price and goods "
        f"({coverage.linked_share:.1%}; {coverage.split} in part; {coverage.within_30_days:,} within 30 days)"
    )
    typer.echo(
        f"  without a line: {coverage.unmatched:,} no earlier purchase, {coverage.exhausted:,} line fully returned, "
        f"{coverage.not_linkable:,} no customer, price or goods"
    )


@import_app.command("files")
def import_files_command(
    orders: Annotated[Path, typer.Argument(help="The table of order lines: a file, a folder of files, or - for stdin.")],
    returns: Annotated[Path | None, typer.Argument(help="The table of returns, where the shop has one.")] = None,
    mapping: Annotated[
        str, typer.Option("--mapping", help="The declared mapping, or the name of one that ships; see docs/sources.md.")
    ] = "mapping.toml",
    tables: Annotated[
        list[str] | None, typer.Option("--table", metavar="NAME=FILE", help="A table that the mapping looks rows up in.")
    ] = None,
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="Of all files; default: by the endings of their names.")
    ] = None,
    exported_at: Annotated[str | None, typer.Option(help="When the files were written; overrules the mapping's.")] = None,
    bad_rows: Annotated[
        BadRows, typer.Option(help="Rows that cannot be read: refuse the import, or set them aside and name them in a file.")
    ] = BadRows.REFUSE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be delivered, and deliver nothing.")] = False,
    replaced: PeriodOption = None,
    equal_rows: EqualRowsOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a shop's tables (CSV, JSON, Parquet, Excel; gz, zip) through a declared mapping."""
    from returnml.sources.mapped.mapped_tables import Given
    from returnml.sources.mapped.shipped import mapping_path

    tables_given = {"orders": orders} | ({} if returns is None else {"returns": returns}) | _named(tables or [])
    form: Literal["csv", "json", "parquet", "excel"] | None = None if file_format is None else file_format.value
    _deliver(
        lambda zone: Given(mapping_path(mapping), tables_given, form, zone, exported_at, bad_rows.value, replaced),
        "import files", dry_run, equal_rows, data, as_json,
    )  # fmt: skip


@import_app.command("database")
def import_database_command(
    mapping: Annotated[str, typer.Option("--mapping", help="The declared mapping, with queries.")] = "mapping.toml",
    url: Annotated[
        str, typer.Option(envvar="RETURNML_SOURCE_URL", help="SQLAlchemy's URL; in the environment no other process sees it.")
    ] = "",
    exported_at: Annotated[str | None, typer.Option(help="Of which moment flags are; overrules the mapping's.")] = None,
    bad_rows: Annotated[
        BadRows, typer.Option(help="Rows that cannot be read: refuse the import, or set them aside and name them in a file.")
    ] = BadRows.REFUSE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be delivered, and deliver nothing.")] = False,
    replaced: PeriodOption = None,
    equal_rows: EqualRowsOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import what a shop's database answers to the mapping's queries, from the mark of the last import on."""
    from returnml.sources.mapped.mapped_tables import Given
    from returnml.sources.mapped.shipped import mapping_path

    if not url:
        raise Refusal("say --url, or set RETURNML_SOURCE_URL: postgresql+psycopg://user@host/shop or sqlite:///shop.db")
    _deliver(
        lambda zone: Given(mapping_path(mapping), {}, None, zone, exported_at, bad_rows.value, replaced, url),
        "import database", dry_run, equal_rows, data, as_json,
    )  # fmt: skip


def _deliver(
    given_in: Callable[[str], Given],
    what: str,
    dry_run: bool,
    equal_rows: EqualRows | None,
    data: str | None,
    as_json: bool,
) -> None:
    """Prepare, and deliver or show, what is given in the shop's time zone."""
    from returnml.clock import clock_of
    from returnml.privacy.customers import open_customers
    from returnml.sources.delivery import Words
    from returnml.sources.mapped.dry_run import summary
    from returnml.sources.mapped.mapped_tables import import_mapped, prepare

    with _progress(as_json) as progress:
        settings = load_settings(data=data)
        clock = clock_of(settings.replay_clock)
        given = given_in(settings.shop.timezone)
        if dry_run:
            found = summary(prepare(given, settings.paths.landing, settings.label, clock))
            typer.echo(json.dumps(found.as_json()) if as_json else found.text())
            return
        made_root(settings, what, clock)
        customers = open_customers(settings)
        done = import_mapped(
            given, settings.paths.landing, settings.label, clock, customers,
            words=Words(given.replaced is not None, None if equal_rows is None else equal_rows.value),
            go_live_us=written_us(settings.go_live), progress=progress,
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(asdict(done)))
        return
    for warning in done.warnings:
        typer.echo(f"warning: {warning}", err=True)
    _print_delivered(*(stream for stream in (done.orders, done.returns) if stream is not None))
    if done.coverage is not None:
        typer.echo(str(done.coverage))
    if done.refused:
        counts = ", ".join(f"{n:,} {rule}" for rule, n in done.refused.items())
        typer.echo(f"rows that could not be read were set aside ({counts}): {done.refused_file}")
    if done.has_only_flags:
        typer.echo("a flag per line and no return times: labels, features and scores are made, forecasts of returns are not")
    if done.young_flags:
        typer.echo(f"{done.young_flags:,} lines were younger than the return window: their flag is not final and was left out")
    if done.blank_flags:
        typer.echo(f"{done.blank_flags:,} lines had a blank flag after the return window: read as the mapping's blank_flag says")


def _named(tables: list[str]) -> dict[str, Path]:
    named = {}
    for text in tables:
        name, _, file = text.partition("=")
        if not name or not file:
            raise Refusal(f"--table {text}: expected NAME=FILE")
        named[name] = Path(file)
    return named


def _print_delivered(*streams: Delivered) -> None:
    """What became of the rows, and which days are to be run again."""
    for d in streams:
        typer.echo(
            f"  {d.stream}: {d.days_written} days delivered, {d.days_unchanged} unchanged; of {d.rows:,} rows {d.new:,} new, "
            f"{d.replaced:,} replaced, {d.unchanged:,} unchanged; {d.lost:,} ids lost"
        )
    days = sorted({day for stream in streams for day in stream.days})
    if days:
        typer.echo(f"  to be run: {len(days)} days from {days[0]} to {days[-1]} (UTC), and the later ones, which rest on them")
    late = sum(stream.replaced for stream in streams if stream.is_live)
    if late:
        typer.echo(f"  {late:,} rows have ids of closed days: after go_live these do not change, quarantine will hold the rows")


@contextmanager
def _progress(is_quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr; nothing where no one looks or another program reads along."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=is_quiet or not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda label, done, total: bar.update(task, description=label, completed=done, total=total or None)
