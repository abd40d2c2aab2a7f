"""``returnml upgrade``: a data root of a version before becomes one of this version."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from returnml.commands.findings import say_findings
from returnml.commands.options import DataOption, JsonOption
from returnml.errors import Refusal
from returnml.settings import load_settings

if TYPE_CHECKING:
    from returnml.health.upgrading.upgrade_plan import Plan, Step


def upgrade(
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is to be done.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a data root of a version before to this one: say what it needs, then do it; killed, it goes on when run again."""
    from datetime import date

    import duckdb
    import msgspec

    from returnml.clock import clock_of
    from returnml.commands.line import run_job
    from returnml.commands.run import print_findings
    from returnml.health.checks.releases import nothing_decides
    from returnml.health.upgrading.apply import upgrade as apply
    from returnml.health.upgrading.upgrade_plan import plan_upgrade

    settings = load_settings(data=data)

    def run_line(first: date, last: date) -> bool:
        done = run_job(settings, "whole_line", first, last, is_quiet=as_json)
        print_findings(done)
        return done.success

    try:
        clock = clock_of(settings.replay_clock)
        plan = plan_upgrade(settings, clock)
        if as_json:
            typer.echo(json.dumps(msgspec.to_builtins(plan), indent=2))
        else:
            _say(plan)
        if dry_run or not plan.steps:
            return
        if not yes and not (sys.stdin.isatty() and not as_json and typer.confirm("do it?")):
            raise Refusal("nothing was done: --yes does it, --dry-run only says it")
        apply(settings, clock, plan, run_line, lambda step: typer.echo(f"doing       {step.what}", err=True))
    except (duckdb.IOException, OSError) as error:
        raise Refusal(str(error)) from error
    if not as_json:
        typer.echo("upgraded    returnml doctor says whether all is as it should be")
    say_findings(list(nothing_decides(settings)), as_json=False)


def _say(plan: Plan) -> None:
    if not plan.steps:
        typer.echo("nothing to do: the root is of this version")
    for number, step in enumerate(plan.steps, start=1):
        _say_step(number, step)


def _say_step(number: int, step: Step) -> None:
    typer.echo(f"{number}. {step.what}")
    for reason in step.why:
        typer.echo(f"     {reason}")
