"""Drill: train the variants side by side, a process each, again and again; no run may meet a lock or a race.

    python -m returnml_tests.drills.parallel_variants [--runs 20] [--parallel 4]

A small shop's line is run once. Then its ``training_job`` is started by Dagster's own command line with the multiprocess
executor, more steps at once than there are cores, every second time with an MLflow store that is not there yet. Of every run:
it succeeds without any step tried again, its variants did run at the same time, nothing printed speaks of a lock, MLflow
has one finished parent run and below it one finished run for each variant and for the candidate of each task that has enough
history, and the same variant with the same content is chosen as in all other runs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from rich.progress import Progress

from returnml.commands.dagster_home import enter
from returnml.settings import Settings
from returnml_tests.pipeline.assets.shop import (
    SMALL,
    open_shop,
    run_line,
)

NOISE = re.compile(r"database is locked|OperationalError|IntegrityError|duplicate column|already exists|Traceback", re.IGNORECASE)
NAMES = ("plain", "monotone", "regularised", "steady", "logistic")
VARIANT = re.compile(r"(?:.*__)?variant_(\w+)")


@dataclass(frozen=True)
class Outcome:
    """What one run showed.

    Attributes:
        problems: empty: none.
        at_once: how many variants trained at the same time at most.
        chosen: the trained variant that the release was made from, by its content.
    """

    problems: list[str]
    at_once: int
    chosen: tuple[str, ...]
    seconds: float


def environment(settings: Settings, parallel: int) -> dict[str, str]:
    names = "[" + ", ".join(f'"{name}"' for name in NAMES) + "]"
    own = {**SMALL, "RETURNML_VARIANTS__NAMES": names, "RETURNML_VARIANTS__PARALLEL": str(parallel)}
    return {**os.environ, **own, "RETURNML_DATA": str(settings.paths.root), "PYTHONWARNINGS": "ignore"}


def train(settings: Settings, parallel: int) -> Outcome:
    """One run of the training job."""
    started = time.monotonic()
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "returnml.definitions", "-j", "training_job"]
    home = os.environ["DAGSTER_HOME"]
    done = subprocess.run(command, env=environment(settings, parallel), cwd=home, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    printed = done.stdout + done.stderr
    problems = [f"exit code {done.returncode}: {printed[-1500:]}"] if done.returncode else []
    problems += [line.strip()[:300] for line in printed.splitlines() if NOISE.search(line)]
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs(limit=1)
        problems += [
            f"tried again: {record.dagster_event.step_key}" for record in _events(instance, run.run_id, "STEP_UP_FOR_RETRY")
        ]
        at_once = _at_once(instance, run.run_id)
        chosen = tuple(_chosen(instance, run.run_id))
    problems += _mlflow_problems(settings, run.run_id, len(chosen))
    if at_once < 2:
        problems.append("no two variants trained at the same time")
    return Outcome(problems, at_once, chosen, seconds)


def _events(instance: dg.DagsterInstance, run_id: str, kind: str) -> list:
    return list(instance.all_logs(run_id, of_type=dg.DagsterEventType[kind]))


def _at_once(instance: dg.DagsterInstance, run_id: str) -> int:
    """Most variants that trained at one time; a step that was left out ends at once and counts little."""
    edges = []
    for step in instance.get_run_step_stats(run_id):
        if VARIANT.fullmatch(step.step_key) and step.start_time and step.end_time:
            edges += [(step.start_time, 1), (step.end_time, -1)]
    most = now = 0
    for _, change in sorted(edges):
        now += change
        most = max(most, now)
    return most


def _chosen(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The versions of the candidates: they follow from the content of what was chosen."""
    found = []
    for record in _events(instance, run_id, "ASSET_MATERIALIZATION"):
        materialization = record.dagster_event.step_materialization_data.materialization
        if materialization.asset_key.path[-1] == "candidate_model":
            found.append(f"{materialization.metadata['variant'].value} {materialization.metadata['version'].value}")
    return sorted(found)


def _mlflow_problems(settings: Settings, dagster_run: str, tasks: int) -> list[str]:
    """Asked of the file itself: this process must keep no connection to a store that is made anew."""
    with closing(sqlite3.connect(settings.paths.mlflow / "mlflow.db")) as con:
        tagged = "SELECT r.run_uuid, r.name, r.status FROM runs r JOIN tags t USING (run_uuid) WHERE t.key = ? AND t.value = ?"
        parents = con.execute(tagged, ["dagster_run_id", dagster_run]).fetchall()
        if len(parents) != 1:
            return [f"MLflow has {len(parents)} parent runs for one Dagster run"]
        below = con.execute(tagged, ["mlflow.parentRunId", parents[0][0]]).fetchall()
        variants = dict(con.execute("SELECT run_uuid, value FROM tags WHERE key = 'variant'").fetchall())
    problems = [f"MLflow run {name} is {status}" for _, name, status in [*parents, *below] if status != "FINISHED"]
    trained = Counter(variants.get(run, "candidate") for run, _, _ in below)
    expected = Counter(dict.fromkeys((*NAMES, "candidate"), tasks))
    if trained != expected:
        problems.append(f"MLflow has runs {dict(trained)}, expected {dict(expected)}")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--parallel", type=int, default=4)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="returnml-drill-"))
    settings = open_shop(root)
    enter(settings)
    print(f"preparing in {root}", flush=True)
    if not run_line(settings).success:
        raise SystemExit("the line did not run")
    outcomes: list[Outcome] = []
    with Progress() as progress:
        for number in progress.track(range(options.runs), description="training runs"):
            if number % 2 == 0:
                shutil.rmtree(settings.paths.mlflow)
            outcome = train(settings, options.parallel)
            outcomes.append(outcome)
            for problem in outcome.problems:
                print(f"run {number + 1}: {problem}", flush=True)
    chosen = {outcome.chosen for outcome in outcomes}
    failed = sum(bool(outcome.problems) for outcome in outcomes) + (len(chosen) != 1)
    at_once = Counter(outcome.at_once for outcome in outcomes)
    seconds = sorted(outcome.seconds for outcome in outcomes)
    median = seconds[len(seconds) // 2]
    print(f"{len(outcomes)} runs of {len(NAMES)} variants, up to {options.parallel} steps at once, median {median:.0f} s a run")
    print(f"most variants that trained at the same time: {dict(at_once)}; chosen: {sorted(chosen)}")
    print(f"{failed} of them met a lock, a race or another outcome")
    if failed:
        raise SystemExit(1)
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
