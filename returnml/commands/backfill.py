"""``returnml backfill``: the daily job over any range of days, in one run."""

from __future__ import annotations

from typing import Annotated

import typer

from returnml.commands.line import run_job
from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import day
from returnml.commands.root import settings_of_root
from returnml.commands.run import report


def backfill(
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last day, inclusive.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the partitions of a range of days again, landing files to scores; the same inputs give the same rows."""
    report(run_job(settings_of_root(data), "daily_job", day(first, "--from"), day(last, "--to"), is_quiet=as_json), as_json)
