"""``returnml score``: score a task's rows of a range of days with a release, into its table."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from returnml.commands.opened import opened
from returnml.commands.options import DataOption
from returnml.commands.root import settings_of_root
from returnml.settings import Settings, SettingsError
from returnml.tasks import CHECKOUT


def score(
    first: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="First day (UTC).")],
    last: Annotated[datetime | None, typer.Argument(formats=["%Y-%m-%d"], help="Last day; default the first.")] = None,
    task: Annotated[str, typer.Option(help="The question that is answered.")] = CHECKOUT,
    release: Annotated[str | None, typer.Option(help="Release version; default the task's champion.")] = None,
    data: DataOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Score a task's rows of a range of days again, replacing these days of its tables (scores.daily and scores.reasons)."""
    from returnml.tasks.policies import policy_of
    from returnml.tasks.registry import refuse_unknown, task_named
    from returnml.warehouse.scores.daily_reasons import (
        build_reasons,
    )
    from returnml.warehouse.scores.daily_scores import (
        build_scores,
    )

    settings = settings_of_root(data)
    days = (first.date(), (last or first).date())
    _refuse_backwards(*days)
    refuse_unknown(settings)
    asked = task_named(task, settings.shop_attributes)
    folder = _release_folder(settings, asked.name, release)
    with opened(settings.paths.warehouse) as con:
        report = build_scores(con, asked, folder, *days, policy_of(asked, settings))
        reasons = build_reasons(con, asked, folder, *days, settings.scores.explained_per_day)
    if as_json:
        typer.echo(json.dumps(asdict(report) | {"explained": reasons.lines}, default=str))
        return
    if not report.rows:
        typer.echo(f"no {asked.words.rows} from {report.first} to {report.last} have features: nothing was scored")
        return
    typer.echo(
        f"{report.rows:,} {asked.words.rows} from {report.first} to {report.last} scored by {report.release}: mean probability "
        f"{report.mean_probability:.4f}, expected cost of returns {report.expected_cost_cents / 100:,.2f}; "
        + (reasons.unexplained or f"the {reasons.lines:,} riskiest explained")
    )


def _refuse_backwards(first: date, last: date) -> None:
    if last < first:
        raise SettingsError(f"last day {last} lies before the first, {first}")


def _release_folder(settings: Settings, task: str, release: str | None) -> Path:
    from returnml.release.folder import release_folder
    from returnml.release.proof import proven_state

    version = release or proven_state(settings, task).champion
    if version is None:
        raise SettingsError(
            f"no release is deployed yet for {task}: name one with --release, or run the line first (`returnml run`)"
        )
    return release_folder(settings.paths.releases, version)
