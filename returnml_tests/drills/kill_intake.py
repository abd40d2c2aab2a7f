"""``kill -9`` during event intake: every acknowledged event is in the ledger and applied exactly once.

    python -m returnml_tests.drills.kill_intake [--rounds 50] [--seed 1]

Two processes write into one store at once; one of them is killed at a random moment, then everything is checked: no
acknowledged event is missing, none is there twice, and every aggregate equals the naive oracle over the ledger. The
killed one's last batch is sent again by the next process, as a shop would.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from returnml.features.windows import DAY_US
from returnml.ledger.clock import SystemClock
from returnml.store.live import LiveStore
from returnml.store.online import OnlineFeatures
from returnml.store.writer import EventWriter
from returnml.warehouse.generation import publish_generation
from returnml_tests.oracle import Moment, group_aggregates
from returnml_tests.store.live_shop import FEATURES, Ledger, event

ROOT = Path(__file__).resolve().parents[2]
BATCH = 7


def batch(writer: str, number: int, at_us: int) -> list:
    """Orders of two lines each by one of three customers."""
    return [
        event(
            {
                "type": "order",
                "event_id": f"{writer}-{n}",
                "order_id": f"{writer}-{n}",
                "customer_id": f"c{n % 3}",
                "lines": [
                    {"line_id": f"{writer}-{n}-{i}", "article_id": "x", "size": "M", "quantity": 1, "unit_price_cents": n}
                    for i in range(2)
                ],
            },
            at_us,
        )
        for n in range(number * BATCH + 1, (number + 1) * BATCH + 1)
    ]


def write(store: Path, writer: str, number: int) -> None:
    """Send batches from ``number`` on for ever; say each one's number when it is acknowledged."""
    intake = EventWriter(store, FEATURES, SystemClock())
    while True:
        intake.submit(batch(writer, number, SystemClock().now_us()))
        print(number, flush=True)
        number += 1


def check(store: Path, acknowledged: dict[str, int]) -> int:
    """Returns how many events the ledger has.

    Raises:
        AssertionError: saying what is missing, there twice, or differs.
    """
    EventWriter(store, FEATURES, SystemClock()).submit([])  # whoever comes next applies the tail
    ledger = Ledger(store)
    there = set(ledger.ids)
    if len(there) != len(ledger.ids):
        raise AssertionError("an event is in the ledger twice")
    for writer, number in acknowledged.items():
        missing = {f"{writer}-{n}" for n in range(1, (number + 1) * BATCH + 1)} - there
        if missing:
            raise AssertionError(f"acknowledged, but not in the ledger: {sorted(missing)[:5]}")
    customers = ["c0", "c1", "c2"]
    online = OnlineFeatures(FEATURES, LiveStore(store, FEATURES))
    vectors = online.vectors({"customer_id": customers, "size": ["M"] * 3}, SystemClock().now_us())
    raw, at, streams = vectors.raw(), vectors.requested_at_us, ledger.streams()
    for i, customer in enumerate(customers):
        for group in FEATURES.groups:
            moment = Moment(i, at, at, at, {"customer_id": customer, "size": "M"})
            for name, expected in group_aggregates(group, streams, moment).items():
                if raw[name][i] != expected:
                    raise AssertionError(f"{name} of {customer}: {raw[name][i]} online, {expected} by the ledger")
    return len(ledger.ids)


def drill(folder: Path, rounds: int, seed: int) -> int:
    """Returns how many events were taken in over all rounds."""
    chance = random.Random(seed)
    store = folder / "store"
    cut_off_us = SystemClock().now_us() // DAY_US * DAY_US
    publish_generation(Ledger(store).warehouse(), FEATURES, cut_off_us, store)
    acknowledged: dict[str, int] = {}
    events = 0
    for _ in range(rounds):
        processes = {w: _start(store, w, acknowledged.get(w, -1) + 1) for w in ("one", "two")}
        for process in processes.values():
            process.stdout.readline()  # both are writing
        time.sleep(chance.random() * 0.2)
        for writer, process in processes.items():
            process.kill()
            process.wait()
            said = process.stdout.read().split()
            acknowledged[writer] = int(said[-1]) if said else acknowledged.get(writer, -1) + 1
        events = check(store, acknowledged)
    return events


def _start(store: Path, writer: str, number: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "returnml_tests.drills.kill_intake", "--write", str(store), writer, str(number)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(Path(options.write[0]), options.write[1], int(options.write[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        events = drill(Path(folder), options.rounds, options.seed)
    print(f"{options.rounds} rounds, two processes killed in each: {events} events, all acknowledged ones there and applied once")


if __name__ == "__main__":
    main()
