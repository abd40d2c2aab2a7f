"""``returnml logs``: what becomes of old logs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from returnml.commands.opened import opened
from returnml.commands.options import DataOption
from returnml.commands.refusal import Commands
from returnml.commands.root import settings_of_root
from returnml.errors import Refusal

app = Commands(help="The inference log: what becomes of old days.", no_args_is_help=True)


@app.callback()
def logs() -> None:
    """Keep ``prune`` a command of its own."""


@app.command("prune")
def prune(
    keep_days: Annotated[int | None, typer.Option(min=1, help="Days to keep (setting `serving.keep_log_days`).")] = None,
    data: DataOption = None,
) -> None:
    """Remove days of the inference log that the warehouse holds whole; exit code 1 where it lacks one that is old enough.

    `replay` and `explain` read the log: they know removed days no more.
    """
    from returnml.clock import (
        clock_of,
    )
    from returnml.instants import day_of
    from returnml.warehouse.answers.log_retention import prune_inference_log

    settings = settings_of_root(data)
    keep = settings.serving.keep_log_days if keep_days is None else keep_days
    if keep is None:
        raise Refusal("nothing says how many days to keep: --keep-days, or the setting serving.keep_log_days")
    before = day_of(clock_of(settings.replay_clock).now_us()) - timedelta(days=keep)
    with opened(settings.paths.warehouse) as con:
        days = prune_inference_log(con, settings.paths.inference_log, before)
    for day in days:
        if day.missing:
            typer.echo(f"kept      {day.day}: {day.missing:,} answered lines are not ingested: returnml backfill", err=True)
        else:
            typer.echo(f"removed   {day.day}: {day.bytes:,} bytes")
    typer.echo(f"{sum(not d.missing for d in days)} days before {before} removed")
    if any(day.missing for day in days):
        raise typer.Exit(1)
