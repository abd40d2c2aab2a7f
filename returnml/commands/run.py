"""``returnml run``: the whole line over everything that was landed or sent."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from returnml.commands.line import LineRun, known_range, run_job
from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import day
from returnml.commands.root import settings_of_root


def run(
    first: Annotated[str | None, typer.Option("--from", help="First day; default: the first landed or with events.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day; default: the last landed or with events.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the whole line in one Dagster run: data, features, model, release, online store, scores."""
    settings = settings_of_root(data)
    known = known_range(settings)
    start = day(first, "--from") if first else known[0]
    end = day(last, "--to") if last else known[1]
    report(run_job(settings, "whole_line", start, end, is_quiet=as_json), as_json)


def report(done: LineRun, as_json: bool) -> None:
    """Print how a run ended; exit code 1 where it failed."""
    if as_json:
        typer.echo(json.dumps(asdict(done), indent=2))
    else:
        print_findings(done)
        typer.echo(f"{'done' if done.success else 'failed'}: run {done.run_id}")
    if not done.success:
        raise typer.Exit(1)


def print_findings(done: LineRun) -> None:
    """Print to stderr why nothing came of assets, and what failed."""
    for asset, why in done.notes.items():
        typer.echo(f"nothing came   {asset}: {why}", err=True)
    for check in done.failed_checks:
        typer.echo(f"check failed   {check}", err=True)
    for failure in done.failures:
        typer.echo(f"step failed    {failure}", err=True)
