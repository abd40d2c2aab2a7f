"""Features of 1 customer and 5 articles, read in process, beside Feast's online stores in the same run.

    python -m benchmarks.online_features [--feast .venv-feast | --no-feast] [--rounds 3] [--seconds 4]

Ours: (a) reads and window sums of two event streams, 48 aggregates a line; (b) every feature of ``order_line``. Both from
a published generation (a year of 500,000 order lines, ``benchmarks.online_world``) and a live part of 5,000 events, at
noon of the day after the cut-off, from LMDB and from a redis-server on this machine over TCP; every request is another one.
Feast: 40 precomputed features from its SQLite and its Redis store. Rounds alternate; printed are medians over rounds. All
is measured twice: with cores that halt whenever they are idle, if the machine is quiet, and with cores that are kept awake
(root only). Feast is installed into an environment of its own, where it is not yet.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.awake import awake_cores
from benchmarks.online_world import NOW_US, TWO_STREAMS, live_events, publish, request, warehouse
from returnml.features.sets.order_line import ORDER_LINE
from returnml.store.backend import Backend
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.reading.online import OnlineFeatures
from returnml.store.reading.read_plan import ReadPlan
from returnml_tests.redis_server import RedisProcess

FEAST = ("feast[redis]==0.67.*", "pandas<3", "pyarrow")
TARGETS_US = {"a": 60, "b": 150}
Measured = tuple[float, float]
"""p50 and p99 in microseconds."""


class Ours:
    """Both ways of asking one kind of backend."""

    def __init__(self, two_streams: Backend, order_line: Backend) -> None:
        self._two = LiveStore(two_streams, TWO_STREAMS)
        self._two.refresh()
        self._plan = ReadPlan(TWO_STREAMS, self._two.generation.manifest)
        self._features = OnlineFeatures(ORDER_LINE, LiveStore(order_line, ORDER_LINE))
        self._chance = random.Random(1)

    def reads_and_sums(self, seconds: float) -> Measured:
        return self._measure(seconds, lambda order: self._plan.words(order, NOW_US, self._two.read))

    def whole_set(self, seconds: float) -> Measured:
        return self._measure(seconds, lambda order: self._features.vectors(order, NOW_US))

    def _measure(self, seconds: float, ask: Callable[[dict[str, list[Any]]], object]) -> Measured:
        for _ in range(200):
            ask(request(self._chance))
        took, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            order = request(self._chance)
            begun = time.perf_counter_ns()
            ask(order)
            took.append(time.perf_counter_ns() - begun)
        p50, p99 = np.percentile(np.array(took) / 1_000, [50, 99])
        return float(p50), float(p99)


class Feast:
    """One of Feast's stores, in a process of its own environment."""

    def __init__(self, python: Path, folder: Path, kind: str, redis_port: int) -> None:
        script = Path(__file__).parent / "peers" / "feast_online.py"
        environ = os.environ | {"FEAST_USAGE": "False", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
        environ.pop("PYTHONPATH", None)
        with open(folder / f"{kind}.log", "w") as log:
            self._process = subprocess.Popen(
                [str(python), str(script), str(folder / f"feast-{kind}"), kind, str(redis_port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environ,
            )
        self.version = self._answer()["feast"]

    def measure(self, seconds: float) -> Measured:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        answer = self._answer()
        return answer["p50_us"], answer["p99_us"]

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"Feast ended with {self._process.wait()}")


def feast_python(environment: Path) -> Path:
    """The interpreter of Feast's environment, made and filled where it is not there."""
    python = environment / "bin" / "python"
    if not python.exists():
        uv = Path(sys.executable).with_name("uv")
        print(f"installing {', '.join(FEAST)} into {environment}", flush=True)
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, environment], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *FEAST], check=True)
    return python


def prepare(folder: Path, redis: RedisProcess) -> dict[str, Ours]:
    con, events = warehouse(), live_events()

    def published(kind: str, make: Callable[[Path, str], Backend]) -> Ours:
        backends = []
        for name, feature_set in (("two_streams", TWO_STREAMS), ("order_line", ORDER_LINE)):
            backends.append(make(folder / kind / name / "store", f"{{{name}}}:"))
            publish(con, feature_set, backends[-1], events)
        return Ours(*backends)

    ours = {
        "LMDB": published("lmdb", lambda root, _: LmdbBackend(root)),
        "Redis": published("redis", redis.backend),
    }
    con.close()
    return ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feast", type=Path, default=Path(".venv-feast"), help="Feast's environment.")
    parser.add_argument("--no-feast", action="store_true", help="Ours alone.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="returnml-bench-") as name, closing(RedisProcess()) as redis:
        folder = Path(name)
        ours = prepare(folder, redis)
        peers = {}
        if not options.no_feast:
            python = feast_python(options.feast.resolve())
            peers = {kind: Feast(python, folder, kind, redis.port) for kind in ("sqlite", "redis")}
        asked: dict[str, Callable[[float], Measured]] = {}
        for kind, asking in ours.items():
            asked[f"(a) returnml, {kind}: two streams, reads and window sums"] = asking.reads_and_sums
        for kind, asking in ours.items():
            asked[f"(b) returnml, {kind}: all {len(ORDER_LINE.outputs)} features"] = asking.whole_set
        asked |= {f"Feast {peer.version}, {kind}: 40 stored features": peer.measure for kind, peer in peers.items()}
        as_it_is = measure(asked, options.rounds, options.seconds)
        try:
            with awake_cores():
                awake = measure(asked, options.rounds, options.seconds)
        except OSError as error:
            print(f"not measured with cores kept awake: {error}")
            awake = None
        for peer in peers.values():
            peer.close()
    report("the machine as it is", as_it_is)
    if awake is not None:
        report("cores kept awake", awake)


def measure(asked: dict[str, Callable[[float], Measured]], rounds: int, seconds: float) -> dict[str, Measured]:
    found: dict[str, list[Measured]] = {label: [] for label in asked}
    for _ in range(rounds):
        for label, ask in asked.items():
            found[label].append(ask(seconds))
    return {label: (median(p50 for p50, _ in f), median(p99 for _, p99 in f)) for label, f in found.items()}


def report(condition: str, found: dict[str, Measured]) -> None:
    peers = {label: p50 for label, (p50, _) in found.items() if label.startswith("Feast")}
    print(f"\n{condition}; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{'1 customer + 5 articles, in process':<56}{'p50 us':>8}{'p99 us':>8}{'target':>8}  times faster than Feast")
    for part in TARGETS_US:
        lmdb, redis = [p50 for label, (p50, _) in found.items() if label.startswith(f"({part})")]
        print(f"({part}) Redis takes {redis / lmdb:.2f} times as long as LMDB")
    for label, (p50, p99) in found.items():
        target = TARGETS_US.get(label[1:2]) if "LMDB" in label else None
        ratios = "" if label in peers else ", ".join(f"{peer / p50:.1f} ({name.split()[2][:-1]})" for name, peer in peers.items())
        print(f"{label:<56}{p50:>8,.0f}{p99:>8,.0f}{target or '':>8}  {ratios}")


if __name__ == "__main__":
    main()
