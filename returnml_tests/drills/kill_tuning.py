"""Drill: kill -9 a tuning at random moments; it must end with the trials and the best one of an undisturbed tuning.

    python -m returnml_tests.drills.kill_tuning [--kills 20] [--trials 14] [--seed 1]

A shop is made up and its snapshot tuned once undisturbed, in a process of its own. Then the same tuning is started again
and again in another folder and killed each time after a moment drawn over the undisturbed length, until it was killed as
often as asked for and has ended. Every trial (parameters, value, pruned or not) and the best one must be the same to the
last bit. A tuning that ends before its kill does not count: it starts over in a new folder.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from rich.progress import Progress

from returnml.modeling.data.snapshot import (
    Snapshot,
    read_snapshot,
)
from returnml.modeling.training.training_data import training_data
from returnml.modeling.training.tuning import (
    Tuned,
    tune,
)
from returnml.settings import TuningSettings
from returnml.warehouse.training.training_rows import build_snapshot
from returnml_tests.modeling.shop import SETTINGS, START, TASK, order_lines, warehouse


class Killed(Exception):
    """Stands for a kill where no process is to die."""


def kill_after(fits: int, train: Callable[..., Any]) -> Callable[..., Any]:
    """Like ``train``, but for so many calls only."""
    left = iter(range(fits))

    def trained(*words: Any, **named: Any) -> Any:
        if next(left, None) is None:
            raise Killed
        return train(*words, **named)

    return trained


def stall_after(fits: int, train: Callable[..., Any]) -> Callable[..., Any]:
    """Like ``train``, but after so many calls it says ``stalled`` and waits to be killed."""
    limited = kill_after(fits, train)

    def trained(*words: Any, **named: Any) -> Any:
        try:
            return limited(*words, **named)
        except Killed:
            print("stalled", flush=True)
            time.sleep(3600)
            raise

    return trained


def settings(trials: int) -> TuningSettings:
    return TuningSettings(trials=trials, max_rounds=200)


def run(snapshot: Path, folder: Path, trials: int) -> Tuned:
    data = training_data(read_snapshot(snapshot), TASK, SETTINGS.training)
    return tune(data, SETTINGS.training, settings(trials), folder)


def child(snapshot: Snapshot, folder: Path, trials: int) -> subprocess.Popen:
    words = ["--child", str(snapshot.path), str(folder), "--trials", str(trials)]
    return subprocess.Popen([sys.executable, "-m", "returnml_tests.drills.kill_tuning", *words])


def killed_often(snapshot: Snapshot, folder: Path, trials: int, kills: int, seconds: float, chance: random.Random) -> int:
    """Kill tunings until ``kills`` met a living one, then let the last folder's end; returns how often a folder was begun."""
    begun, met = 1, 0
    with Progress() as progress:
        task = progress.add_task("kill -9", total=kills)
        while met < kills:
            process = child(snapshot, folder, trials)
            try:
                if process.wait(seconds * chance.random()) != 0:
                    raise SystemExit(f"the tuning ended with {process.returncode}")
                shutil.rmtree(folder)
                begun += 1
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                met += 1
                progress.update(task, completed=met)
    if child(snapshot, folder, trials).wait() != 0:
        raise SystemExit("the last tuning failed")
    return begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=14)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run(Path(options.child[0]), Path(options.child[1]), options.trials)
        return
    root = Path(tempfile.mkdtemp(prefix="returnml-drill-"))
    snapshot = build_snapshot(
        warehouse(order_lines(20_000)), TASK, START + timedelta(days=200), root / "training", SETTINGS.label
    )
    started = time.monotonic()
    if child(snapshot, root / "undisturbed", options.trials).wait() != 0:
        raise SystemExit("the undisturbed tuning failed")
    seconds = time.monotonic() - started
    print(f"an undisturbed tuning of {options.trials} trials takes {seconds:.1f} s", flush=True)
    begun = killed_often(snapshot, root / "killed", options.trials, options.kills, seconds, random.Random(options.seed))
    # both are finished: nothing is trained here, they are read
    expected, found = (run(snapshot.path, root / name, options.trials) for name in ("undisturbed", "killed"))
    differing = [a.number for a, b in zip(expected.results, found.results, strict=True) if a != b]
    pruned = sum(result.is_pruned for result in expected.results)
    print(
        f"{options.kills} kills over {begun} tunings: {options.trials - len(differing)} of {options.trials} trials equal "
        f"({pruned} pruned), best trial {found.best.trial} with {found.best.value!r}, undisturbed {expected.best.trial} with "
        f"{expected.best.value!r}: {'equal' if found == expected else f'different, trials {differing}'}"
    )
    if found != expected:
        print(msgspec.json.encode([expected, found]).decode())
        raise SystemExit(1)
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
