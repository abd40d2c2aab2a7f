"""Drill: kill -9 a daily run at random moments; the next run must complete and leave what an undisturbed one leaves.

    python -m returnml_tests.drills.kill_daily_run [--kills 50] [--seed 1]

A shop is simulated, its line run up to the day before the last, and the data root copied once for each kill. There
the last day's run is killed (with its whole process group) at a moment drawn over an undisturbed run's length.
Right after the kill every table must hold the state before or the state after that day, nothing between; then the
run is started again, must succeed, and every table, the published online generation and the BI copy must equal those
of the undisturbed run.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
from rich.progress import Progress

from returnml.features.sets.order_line import ORDER_LINE
from returnml.settings import DataPaths
from returnml.store.generation import open_current
from returnml.warehouse.partition import open_warehouse

START, DAYS = date(2025, 1, 1), 75
LAST = START + timedelta(days=DAYS - 1)
# Ten weeks hold six of mature lines: the split of the training must fit into them.
SHORT = {"RETURNML_TRAINING__HOLDOUT_DAYS": "10", "RETURNML_TRAINING__CALIBRATION_DAYS": "8", "RETURNML_TRAINING__ROUNDS": "30"}
Content = dict[str, tuple]


@dataclass(frozen=True)
class Shop:
    """A data root with its line run up to the day before the last."""

    root: Path

    def returnml(self, *words: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "returnml.cli", *words, "--data", str(self.root)]
        with open(self.root.parent / f"{self.root.name}.txt", "ab") as output:
            return subprocess.Popen(
                command, env=os.environ | SHORT, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def run(self, *words: str) -> float:
        started = time.monotonic()
        process = self.returnml(*words)
        if process.wait() != 0:
            log = (self.root.parent / f"{self.root.name}.txt").read_text()
            raise SystemExit(f"returnml {' '.join(words)} ended with {process.returncode}:\n{log[-4000:]}")
        return time.monotonic() - started

    def daily_run(self) -> tuple[str, ...]:
        return ("backfill", "--from", LAST.isoformat(), "--to", LAST.isoformat())

    def content(self) -> Content:
        """Every table's rows as (count, sum and exclusive or of row hashes), of warehouse and BI copy."""
        paths = DataPaths(self.root)
        return {**tables(paths.warehouse, "warehouse"), **tables(paths.published, "published")}

    def generation(self) -> str:
        generation = open_current(DataPaths(self.root).store, ORDER_LINE)
        return generation.manifest.content_sha256

    def copy(self, name: str) -> Shop:
        target = self.root.parent / name
        shutil.copytree(self.root, target)
        return Shop(target)


def tables(path: Path, prefix: str) -> Content:
    """The log of partitions is taken apart by the table that it speaks of: each is written with that table."""
    con = open_warehouse(path, read_only=True)
    try:
        names = con.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables() ORDER BY ALL").fetchall()
        found = {f"{prefix} {name}": rows_of(con, name) for (name,) in names if name != "ops.partitions"}
        logged = con.execute("SELECT DISTINCT table_name FROM ops.partitions").fetchall()
        of_table = "ops.partitions WHERE table_name = ?"
        return found | {f"{prefix} ops.partitions of {name}": rows_of(con, of_table, [name]) for (name,) in logged}
    finally:
        con.close()


def rows_of(con: duckdb.DuckDBPyConnection, table: str, params: Sequence[str] = ()) -> tuple:
    columns = ", ".join(f'"{row[0]}"' for row in con.execute(f"DESCRIBE {table.split()[0]}").fetchall())
    sql = f"SELECT count(*), sum(hash({columns})::HUGEINT), bit_xor(hash({columns})) FROM {table}"
    return con.execute(sql, list(params)).fetchall()[0]


def differing(found: Content, *allowed: Content) -> list[str]:
    """Tables whose content is that of none of ``allowed``; a table may also be absent where one of them lacks it."""
    names = set(found).union(*allowed)
    return sorted(n for n in names if all(found.get(n) != one.get(n) for one in allowed))


def prepare(folder: Path) -> Shop:
    shop = Shop(folder / "before")
    shop.root.mkdir()
    shop.run("simulate", "--days", str(DAYS), "--lines-per-day", "400", "--seed", "7", "--start", START.isoformat())
    shop.run("run", "--to", (LAST - timedelta(days=1)).isoformat())
    return shop


def kill_once(shop: Shop, number: int, after_s: float, before: Content, after: Content, generation: str) -> tuple[str, list[str]]:
    """Returns what the kill met (``finished``, ``untouched``, ``between`` or ``complete``) and what was wrong."""
    trial = shop.copy(f"kill-{number}")
    process = trial.returnml(*trial.daily_run())
    try:
        process.wait(after_s)
        met = "finished"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        killed = trial.content()
        wrong = differing(killed, before, after)
        if wrong:
            return "torn", [f"half-written after the kill: {', '.join(wrong)}"]
        met = "untouched" if killed == before else "complete" if killed == after else "between"
    trial.run(*trial.daily_run())
    problems = [f"differs after the next run: {name}" for name in differing(trial.content(), after)]
    if trial.generation() != generation:
        problems.append("the online generation differs after the next run")
    if not problems:
        shutil.rmtree(trial.root)
    return met, problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="returnml-drill-"))
    print(f"preparing in {folder}", flush=True)
    shop = prepare(folder)
    before = shop.content()
    undisturbed = shop.copy("undisturbed")
    seconds = undisturbed.run(*undisturbed.daily_run())
    after, generation = undisturbed.content(), undisturbed.generation()
    changed = differing(after, before)
    print(f"an undisturbed daily run takes {seconds:.1f} s and changes {len(changed)} of {len(after)} tables", flush=True)
    chance, met, failed = random.Random(options.seed), Counter[str](), 0
    with Progress() as progress:
        task, number = progress.add_task("kill -9", total=options.kills), 0
        while met.total() - met["finished"] < options.kills:
            number += 1
            after_s = seconds * chance.random()
            outcome, problems = kill_once(shop, number, after_s, before, after, generation)
            met[outcome] += 1
            failed += bool(problems)
            progress.update(task, completed=met.total() - met["finished"])
            for problem in problems:
                print(f"kill {number} after {after_s:.2f} s: {problem}", flush=True)
    print(f"{met.total()} runs, {options.kills} of them killed: {met.total() - failed} equal, {failed} not; met {dict(met)}")
    if failed:
        raise SystemExit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
