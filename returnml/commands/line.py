"""Runs Dagster jobs in this process, with progress: what ``run``, ``backfill`` and ``demo`` share."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib import import_module
from typing import TYPE_CHECKING

import typer

from returnml.clock import (
    Clock,
    clock_of,
)
from returnml.commands.dagster_home import enter
from returnml.commands.signals import ended_by_signals
from returnml.errors import Refusal
from returnml.instants import day_of
from returnml.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

PID_TAG = "returnml/pid"
"""Process that a run lives in: a run whose process is gone was killed."""


@dataclass
class LineRun:
    """How a run ended.

    Attributes:
        failed_checks: ``asset: check`` of every check that did not hold.
        failures: ``step: message`` of every step that failed.
        notes: by asset why nothing came of it, where that is no failure.
    """

    run_id: str
    success: bool
    failed_checks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)


def known_range(settings: Settings) -> tuple[date, date]:
    """First and last day that was landed or, before today, has events; refuses where there is none.

    Says which landed days do not count, as a mistyped date made them.
    """
    from returnml.warehouse.ingest.extent import (
        days_left_out,
        known_days,
    )

    now_us = clock_of(settings.replay_clock).now_us()
    found, left_out = known_days(settings.paths, now_us), days_left_out(settings.paths, now_us)
    if left_out:
        shown = ", ".join(day.isoformat() for day in left_out[:3]) + (", ..." if left_out[3:] else "")
        message = f"{len(left_out)} landed days, far from the others or not here yet: {shown}; a mistyped date?"
        typer.echo(f"left out       {message} The setting first_day, with --from, takes early ones in", err=True)
    if found is None:
        raise Refusal(f"nothing was landed below {settings.paths.landing}: returnml simulate, or returnml import, first")
    return found


def run_job(settings: Settings, job: str, first: date, last: date, *, is_quiet: bool = False) -> LineRun:
    """Run a job over the days ``first`` to ``last`` (inclusive) in one run, in this process.

    The run is recorded in the project's Dagster storage like any other and seen in its UI. A signal ends it.

    Args:
        is_quiet: no progress bar.

    Raises:
        SystemExit: where a signal ended it, with 128 plus its number.
    """
    enter(settings)
    with ended_by_signals(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dagster announces each beta parameter on every use, MLflow its hints
        # Imported only now: the code location finds its data through the environment set above.
        import dagster as dg

        from returnml.commands.progress import step_logger
        from returnml.pipeline.location import build_defs
        from returnml.pipeline.partitions import daily_partitions
        from returnml.pipeline.resources.step_processes import heavy_modules

        with _progress(is_quiet) as advance:
            for module in heavy_modules(job):
                import_module(module)
            definition = build_defs(settings, loggers={"console": step_logger(advance)}).resolve_job_def(job)
            _check_range(first, last, daily_partitions(settings), clock_of(settings.replay_clock))
            advance("", 0, len(definition.graph.node_defs))
            with dg.DagsterInstance.get() as instance:
                bury_killed_runs(instance)
                result = definition.execute_in_process(
                    instance=instance,
                    tags={
                        "dagster/asset_partition_range_start": first.isoformat(),
                        "dagster/asset_partition_range_end": last.isoformat(),
                        PID_TAG: f"{os.uname().nodename}:{os.getpid()}",
                        "dagster/max_retries": "0",  # whoever started it sees how it ends; no daemon starts it again
                    },
                    run_config={"loggers": {"console": {}}},
                    raise_on_error=False,
                )
    failed = [
        f"{check.asset_key.to_user_string()}: {check.check_name}"
        for check in result.get_asset_check_evaluations()
        if not check.passed
    ]
    failures = [f"{event.step_key}: {_reason(event)}" for event in result.all_events if event.is_step_failure]
    notes = {
        observed.asset_key.to_user_string(): str(observed.metadata["message"].value)
        for event in result.all_events
        if event.event_type_value == "ASSET_OBSERVATION"
        and "message" in (observed := event.asset_observation_data.asset_observation).metadata
    }
    return LineRun(result.run_id, result.success, failed, failures, notes)


def bury_killed_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of this machine whose process is gone as failed and free their pool slots; returns their ids.

    Without this the next run would wait for a slot that nobody gives back.
    """
    import dagster as dg

    buried = []
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])):
        host, _, pid = run.tags.get(PID_TAG, "").partition(":")
        if host == os.uname().nodename and not _is_alive(int(pid)):
            instance.report_run_failed(run, f"process {pid} is gone")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            buried.append(run.run_id)
    return buried


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # a run of this very process has ended: runs here are one after the other
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _reason(event: dg.DagsterEvent) -> str:
    """The innermost error of a failed step: what a user can act on."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "failed"
    first, *more = error.message.strip().split("\n")
    # Dagster names the checks that failed below a heading.
    return f"{first} {', '.join(line.strip() for line in more)}" if first.endswith(":") else first


def _check_range(first: date, last: date, days: dg.DailyPartitionsDefinition, clock: Clock) -> None:
    # Dagster ends the partitions at the machine's yesterday; in a replay it is another.
    start, end = days.get_first_partition_key(), days.get_last_partition_key()
    yesterday = (day_of(clock.now_us()) - timedelta(days=1)).isoformat()
    if last < first:
        raise Refusal(f"last day {last} before first day {first}")
    end = None if end is None else min(end, yesterday)
    if start is None or end is None or first.isoformat() < start or last.isoformat() > end:
        raise Refusal(f"{first} to {last}: days go from {start} (setting first_day, else the first known) to {end} (yesterday)")


@contextmanager
def _progress(is_quiet: bool) -> Iterator[Callable[[str, int, int | None], None]]:
    """A progress bar over the steps, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), disable=is_quiet) as bar:
        task = bar.add_task("loading", total=None)

        def advance(step: str, steps_done: int, steps: int | None = None) -> None:
            bar.update(task, description=step or "starting", advance=steps_done, total=steps)

        yield advance
