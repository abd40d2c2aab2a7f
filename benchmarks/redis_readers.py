"""Several processes that read one Redis at once: looking for the reply before sleeping for it, beside sleeping at once.

    python -m benchmarks.redis_readers [--processes 1 2 4] [--rounds 3] [--seconds 2]

Requests, data and what is measured of each are those of ``benchmarks.online_features`` (a). Both ways alternate; printed are
medians over rounds. ``cpu us`` is the readers' processor time per request, making the request included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import tempfile
import time
from contextlib import closing
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.online_world import NOW_US, TWO_STREAMS, live_events, publish, request, warehouse
from returnml.store.live import LiveStore
from returnml.store.reading.read_plan import ReadPlan
from returnml.store.redis import round_trip
from returnml.store.redis.remote import RedisBackend
from returnml_tests.redis_server import PREFIX, RedisProcess

SPAWN = multiprocessing.get_context("forkserver")
WAYS = {"sleeps": 0.0, "looks first": round_trip.SPIN_SECONDS}


def read(url: str, root: Path, spin_seconds: float, seconds: float, found: Queue[Any]) -> None:
    """One process: put requests/s, p50 and p99 and processor time per request in microseconds."""
    round_trip.SPIN_SECONDS = spin_seconds
    live = LiveStore(RedisBackend(root, url, PREFIX), TWO_STREAMS)
    live.refresh()
    plan, chance = ReadPlan(TWO_STREAMS, live.generation.manifest), random.Random(os.getpid())
    took = []
    begun, end = time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        order = request(chance)
        started = time.perf_counter_ns()
        plan.words(order, NOW_US, live.read)
        took.append(time.perf_counter_ns() - started)
    cpu_us = (time.process_time() - begun) / len(took) * 1e6
    found.put((len(took) / seconds, *np.percentile(np.array(took) / 1_000, [50, 99]), cpu_us))


def at_once(url: str, root: Path, processes: int, spin_seconds: float, seconds: float) -> np.ndarray:
    """Requests/s of all, and means over the processes of the other figures."""
    found: Queue[Any] = SPAWN.Queue()
    readers = [SPAWN.Process(target=read, args=(url, root, spin_seconds, seconds, found)) for _ in range(processes)]
    for reader in readers:
        reader.start()
    figures = np.array([found.get() for _ in readers])
    for reader in readers:
        reader.join()
    return np.array([figures[:, 0].sum(), *figures[:, 1:].mean(0)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="returnml-bench-") as name, closing(RedisProcess()) as server:
        root = Path(name) / "store"
        con = warehouse()
        publish(con, TWO_STREAMS, server.backend(root), live_events())
        con.close()
        print(f"{'processes':<12}{'a reader':<14}{'requests/s':>10}{'p50 us':>9}{'p99 us':>9}{'cpu us':>9}")
        for processes in options.processes:
            found: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
            for _ in range(options.rounds):
                for way, spin_seconds in WAYS.items():
                    found[way].append(at_once(server.url, root, processes, spin_seconds, options.seconds))
            for way, rounds in found.items():
                per_second, p50, p99, cpu = np.median(rounds, axis=0)
                print(f"{processes:<12}{way:<14}{per_second:>10,.0f}{p50:>9,.0f}{p99:>9,.0f}{cpu:>9,.0f}", flush=True)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
