"""Drill: a data root made by an older commit is upgraded by this code; a kill on the way is gone on from.

    python -m returnml_tests.drills.upgrade [--commit 990ecee] [--days 130] [--lines-per-day 150] [--kills 1]
        [--keep FOLDER | --made FOLDER]

The old code is checked out into a git worktree of its own, where it simulates a shop and runs its line over all days but the
last, whose files are held back. This code's ``returnml upgrade --yes`` is killed (with its whole process group) as often as is
asked, then runs to its end. Then

* ``returnml doctor`` must find nothing, and ``returnml upgrade`` must have nothing to do;
* a release must decide for every task that had one, and it is printed whether that is a new one;
* every feature column that both versions have must have the same bits in every line, and the old release must give every
  line the probability that it had;
* the day that was held back is delivered: ``returnml backfill`` must run it, and every line of it must have a score.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from returnml.contracts.columns import STREAMS
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.release.deployment import read_state
from returnml.release.folder import load_release, release_folder
from returnml.settings import DataPaths
from returnml.tasks.registry import tasks
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.tables import present_tables

OLD = "990ecee"
QUICK = {"RETURNML_VARIANTS__NAMES": '["plain"]'}
KILL_AFTER_SECONDS = 20.0
PROJECT = Path(__file__).resolve().parents[2]
TABLES = {"features.order_lines": "line_id", "features.returns": "return_id"}


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """The project as it was at a commit."""
    with tempfile.TemporaryDirectory(prefix="returnml-old-") as folder:
        code = Path(folder) / "code"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(code), commit], cwd=PROJECT, check=True)
        try:
            yield code
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(code)], cwd=PROJECT, check=True)


def returnml(code: Path, *words: str, root: Path, kill_after: float | None = None) -> int:
    """Run a command of this code or another one; killed with its process group after so many seconds."""
    command = [sys.executable, "-m", "returnml.cli", *words, "--data", str(root)]
    environ = os.environ | QUICK | {"PYTHONPATH": str(code)}
    with subprocess.Popen(command, cwd=code, env=environ, stdin=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            return process.wait(kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()


def made_before(commit: str, made: Path, days: int, lines_per_day: int) -> None:
    """A root (``data``) with its line run by the code of a commit over all days but the last, which lies beside it (``held``)."""
    root = made / "data"
    with worktree(commit) as code:
        _by(code, commit, root, "simulate", "--days", str(days), "--lines-per-day", str(lines_per_day))
        last = max(folder.name for stream in STREAMS for folder in (root / "landing" / stream).iterdir())
        for stream in STREAMS:
            (made / "held" / stream).mkdir(parents=True)
            shutil.move(root / "landing" / stream / last, made / "held" / stream)
        _by(code, commit, root, "run")


def _by(code: Path, commit: str, root: Path, *words: str) -> None:
    if code_of_exit := returnml(code, *words, root=root):
        raise SystemExit(f"{commit}: returnml {words[0]} ended with {code_of_exit}")


def differing_features(before: Path, after: Path) -> list[str]:
    """Feature columns of both roots that have other bits in any row; and rows that only one has."""
    found = []
    with closing(open_warehouse(DataPaths(after).warehouse, read_only=True)) as con:
        con.execute(f"ATTACH '{DataPaths(before).warehouse}' AS old (READ_ONLY)")
        for table, key in TABLES.items():
            old, new = ({row[0] for row in con.execute(f"DESCRIBE {name}").fetchall()} for name in (f"old.{table}", table))
            [(rows, both)] = con.execute(
                f"SELECT count(*), count(*) FILTER (o.{key} IS NOT NULL AND n.{key} IS NOT NULL) "
                f"FROM old.{table} AS o FULL JOIN {table} AS n USING ({key})"
            ).fetchall()
            print(f"{table}: {rows} rows, {both} in both roots, {len(old & new)} columns in both")
            if not rows or rows != both:
                found.append(f"{table}: {rows - both} rows are in one root only")
            for column in sorted(old & new - {key, "feature_set_hash"}):
                [(count,)] = con.execute(
                    f"SELECT count(*) FROM old.{table} AS o JOIN {table} AS n USING ({key}) "
                    f'WHERE o."{column}" IS DISTINCT FROM n."{column}"'
                ).fetchall()
                found += [f"{table}.{column}: {count} rows differ"] if count else []
    return found


def differing_scores(before: Path, after: Path) -> list[str]:
    """What each release that had scored gives for this code's features, beside the scores that it gave."""
    found = []
    for task in tasks().values():
        table = task.spine.table
        if table not in TABLES:
            continue
        key = TABLES[table]
        with closing(open_warehouse(DataPaths(before).warehouse, read_only=True)) as con:
            if task.score_table not in present_tables(con):
                continue
            scores = con.sql(f"SELECT {key}, probability, release FROM {task.score_table}").pl()
        for [version], part in scores.group_by("release"):
            release = load_release(release_folder(DataPaths(before).releases, str(version)))
            with closing(open_warehouse(DataPaths(after).warehouse, read_only=True)) as con:
                columns = ", ".join(f'"{name}"' for name in release.manifest.inputs)
                vectors = con.sql(f"SELECT {key}, {columns} FROM {table}").pl()
            joined = part.join(vectors, on=key, how="inner")
            x = joined.select(release.manifest.inputs).fill_null(np.nan).to_numpy().astype(np.float32)
            again = OnnxScorer(release.model).probability(x)
            count = int((again.astype(np.float64) != joined["probability"].to_numpy()).sum())
            print(f"{task.score_table}: {joined.height} of {part.height} scores of {version} made again, {count} differ")
            if count or joined.height != part.height:
                found.append(f"{task.score_table}: {count} scores of {version} differ, {part.height - joined.height} are missing")
    return found


def champions(root: Path) -> dict[str, str | None]:
    """What decides, by task."""
    return {task: read_state(DataPaths(root).deployment_state(task)).champion for task in tasks()}


def undecided(before: Path, after: Path) -> list[str]:
    """Tasks that had a champion and have none."""
    found, now = [], champions(after)
    for task, old in champions(before).items():
        print(f"{task}: {old or 'nothing'} decided, {now[task] or 'nothing'} does now")
        found += [f"{task}: {old} decided, and nothing does now"] if old and not now[task] else []
    return found


def next_day(held: Path, root: Path) -> list[str]:
    """Deliver the day that was held back and run the daily line over it; rows of it that have no score."""
    [name] = {folder.name for folder in held.glob("*/*")}
    for stream in STREAMS:
        shutil.copytree(held / stream / name, root / "landing" / stream / name)
    if ended := returnml(PROJECT, "backfill", "--from", name, "--to", name, root=root):
        return [f"returnml backfill of {name} ended with {ended}"]
    found, first = [], date.fromisoformat(name)
    with closing(open_warehouse(DataPaths(root).warehouse, read_only=True)) as con:
        for task, champion in champions(root).items():
            declared = tasks()[task]
            if champion is None or declared.spine.table not in TABLES:
                continue
            key, bounds = TABLES[declared.spine.table], [first, first + timedelta(days=1), champion]
            [(rows, scored)] = con.execute(
                f"SELECT count(*), count(s.probability) FROM {declared.spine.table} AS f "
                f"LEFT JOIN {declared.score_table} AS s ON s.{key} = f.{key} AND s.release = $3 WHERE f.day >= $1 AND f.day < $2",
                bounds,
            ).fetchall()
            print(f"{task}: {name} has {rows} rows, {scored} scored by {champion}")
            found += [f"{task}: {rows - scored} of {rows} rows of {name} have no score"] if not rows or scored != rows else []
    return found


def drill(made: Path, kills: int) -> list[str]:
    """Upgrade a root of before, with kills on the way; what is wrong then."""
    root, before = made / "data", made / "before"
    shutil.copytree(root, before)
    for number in range(1, kills + 1):
        ended = returnml(PROJECT, "upgrade", "--yes", root=root, kill_after=KILL_AFTER_SECONDS * number)
        print(f"kill {number}: ended with {ended}", flush=True)
    wrong = []
    if ended := returnml(PROJECT, "upgrade", "--yes", root=root):
        wrong.append(f"returnml upgrade ended with {ended}")
    if returnml(PROJECT, "doctor", root=root):
        wrong.append("returnml doctor finds something")
    told = subprocess.run(
        [sys.executable, "-m", "returnml.cli", "upgrade", "--dry-run", "--data", str(root)],
        cwd=PROJECT, env=os.environ | QUICK, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    if not told.startswith("nothing to do"):
        wrong.append(f"there is something left to upgrade: {told}")
    wrong += undecided(before, root) + differing_features(before, root) + differing_scores(before, root)
    return wrong + next_day(made / "held", root)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--commit", default=OLD)
    options.add_argument("--days", type=int, default=130)
    options.add_argument("--lines-per-day", type=int, default=150)
    options.add_argument("--kills", type=int, default=1)
    options.add_argument("--keep", type=Path, help="a new folder for what the old code makes, to be given as --made again")
    options.add_argument("--made", type=Path, help="what the old code has made before (data and held); it is copied")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="returnml-upgrade-") as folder:
        made = Path(folder) / "made"
        if given.made is None:
            made_before(given.commit, made, given.days, given.lines_per_day)
            if given.keep is not None:
                shutil.copytree(made, given.keep)
        else:
            shutil.copytree(given.made, made)
        wrong = drill(made, given.kills)
    for line in wrong:
        print(f"WRONG  {line}")
    print("the line runs on, and every score of unchanged features is equal" if not wrong else f"{len(wrong)} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
