"""Three months of Online Retail over HTTP by a virtual clock; then every vector that was served is held against batch.

    python -m returnml_tests.drills.replay_online_retail [--backend lmdb] [--first 2011-09-01] [--last 2011-11-30] [--seed 1]

History until the day before ``--first`` is imported and run through the line, which trains the release that serves. From
then on the shop is live: the service runs with two workers and logs every answer, each order is scored just before its
event is pushed, and returns come when they came. While a day's traffic goes on, the night before it is worked off;
some nights are missed, some are the real Dagster job. Workers are killed with ``kill -9`` in the middle of traffic. At the
end the daily job runs over all of it again, and its ``consistency`` must find every vector identical in every bit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

from returnml.warehouse.partition import open_warehouse
from returnml_tests.drills.online_retail_traffic import traffic
from returnml_tests.drills.replay import Plan, Replay, Replayed
from returnml_tests.drills.replay_report import Report, check
from returnml_tests.redis_server import RedisProcess
from returnml_tests.shared import ONLINE_RETAIL


def replay(data: Path, plan: Plan) -> Report:
    """Replay in an empty folder and check.

    Raises:
        AssertionError: saying what differs.
    """
    begun = time.monotonic()
    drill = Replay(data, plan)
    drill.prepare()
    prepared = time.monotonic()
    print(f"history imported, run and released in {prepared - begun:.0f} s", flush=True)
    done = drill.go(traffic(plan.source, plan.first, plan.last, plan.seed))
    sent = time.monotonic()
    print(
        f"{len(done.answers.scores):,} orders scored, {len(done.answers.accepted):,} events in {sent - prepared:.0f} s",
        flush=True,
    )
    drill.prove(done)
    ended = time.monotonic()
    done.seconds = {"history": prepared - begun, "replay": sent - prepared, "proof": ended - sent}
    with closing(open_warehouse(drill.settings.paths.warehouse, read_only=True)) as con:
        report = check(con, plan.first, plan.last, done.answers)
    add_story(report, done)
    return report


def add_story(report: Report, done: Replayed) -> None:
    """What was injected and how long it took; a real job whose proof failed is a problem."""
    report.figures["injected"] = ", ".join(f"{n:,} {what}" for what, n in sorted(done.traffic.injected.items()))
    report.figures["nights"] = ", ".join(f"{n} {what}" for what, n in done.nights.items())
    report.figures["workers killed with kill -9"] = f"{done.kills}"
    report.figures["seconds"] = ", ".join(f"{what} {seconds:.0f}" for what, seconds in done.seconds.items())
    report.figures["checks of the daily job that failed"] = ", ".join(sorted(set(done.failed_checks))) or "none"
    report.problems += [failed for failed in done.failed_checks if failed.endswith("bit_identical")]


@contextmanager
def kept_on(backend: str) -> Iterator[dict[str, str]]:
    """The settings of a backend; Redis is a server of our own."""
    if backend == "lmdb":
        yield {}
        return
    with closing(RedisProcess()) as server:
        yield server.environ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=ONLINE_RETAIL, help="Folder of the daily files.")
    parser.add_argument("--data", type=Path, help="An empty data root to keep; default: a temporary one.")
    parser.add_argument("--backend", choices=("lmdb", "redis"), default="lmdb")
    parser.add_argument("--history-from", type=date.fromisoformat, default=date(2010, 12, 1))
    parser.add_argument("--first", type=date.fromisoformat, default=date(2011, 9, 1))
    parser.add_argument("--last", type=date.fromisoformat, default=date(2011, 11, 30))
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--missed", type=float, default=0.1, help="Share of nights that are missed.")
    options = parser.parse_args()
    history, first, last = options.history_from, options.first, options.last
    with tempfile.TemporaryDirectory(prefix="returnml-replay-") as folder, kept_on(options.backend) as environ:
        plan = Plan(options.source, history, first, last, options.seed, options.kills, options.missed, environ=environ)
        report = replay(options.data or Path(folder), plan)
    print(report.text())
    if report.problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
