"""What is timed, in the words of the benchmarks beside, which every commit has for itself.

    python -P parts.py PART FOLDER PEERS

A process of one side: the code is the one that ``PYTHONPATH`` names, so that nothing is imported from here. It prepares
the part, writes a line of JSON with its labels, then for each label that it reads writes the seconds that one run took.
Must not be here: any import of the project outside a part's function; names that only one of the commits has.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

ONLINE_SECONDS = 0.7
ROWS = 1_000_000
SCORED_ROWS, TREES = 200_000, 300
EVENTS, BATCH = 10_000, 1_000

Runs = Mapping[str, Callable[[], float]]
"""By label one run, which returns its seconds."""


@contextmanager
def online(folder: Path, peers: Path) -> Iterator[Runs]:
    """Features of a customer and five articles: median seconds of a request."""
    from benchmarks.online_features import prepare
    from returnml_tests.redis_server import RedisProcess

    def p50(ask: Callable[[float], tuple[float, float]]) -> Callable[[], float]:
        return lambda: ask(ONLINE_SECONDS)[0] / 1e6

    with closing(RedisProcess()) as redis:
        found: dict[str, Callable[[], float]] = {}
        for kind, ours in prepare(folder, redis).items():
            found[f"two streams, {kind}"] = p50(ours.reads_and_sums)
            found[f"whole set, {kind}"] = p50(ours.whole_set)
        yield found


@contextmanager
def point_in_time(folder: Path, peers: Path) -> Iterator[Runs]:
    """Windows of order lines, DuckDB table to DuckDB table."""
    import duckdb

    pit = import_module("benchmarks.pit_features")

    generated = pit.load_peers(peers, folder)
    generated.gen(ROWS)
    con = duckdb.connect(str(folder / "pit.duckdb"), config={"threads": 2, "memory_limit": "4GB"})
    con.execute("SET TimeZone='UTC'")
    pit.load_tables(con, generated, ROWS, are_strings=False)

    def run() -> None:
        pit.compute_windows(con, pit.GROUPS, "spine", "result", from_tiles=False)

    yield {f"{ROWS:,} lines x 32 windows": lambda: seconds(run)}
    con.close()


@contextmanager
def scoring(folder: Path, peers: Path) -> Iterator[Runs]:
    """A batch of lines read, scored, priced and written."""
    batch = import_module("benchmarks.batch_scoring")
    x = batch.vectors(SCORED_ROWS)
    release, _ = batch.released(x, TREES, folder / "releases")
    con = batch.open_warehouse(folder / "warehouse.duckdb", threads=batch.THREADS)
    last = batch.fill(con, x)

    def run() -> None:
        batch.build_scores(con, batch.TASK, release.path, batch.START, last, batch.Policy())

    yield {f"{SCORED_ROWS:,} lines x {x.shape[1]} features": lambda: seconds(run)}
    con.close()


@contextmanager
def intake(folder: Path, peers: Path) -> Iterator[Runs]:
    """Events taken in, each time into an empty store."""
    from returnml_tests.redis_server import RedisProcess

    events = import_module("benchmarks.event_intake")
    sent, number = events.events(EVENTS, seed=1), count()

    def lmdb() -> float:
        return float(events.in_process(events.LmdbBackend(folder / f"lmdb{next(number)}" / "store"), sent, BATCH))

    def http() -> float:
        return float(events.over_http(folder / f"http{next(number)}", sent, BATCH))

    with closing(RedisProcess()) as redis:

        def on_redis() -> float:
            n = next(number)
            return float(events.in_process(redis.backend(folder / f"redis{n}" / "store", f"{{n{n}}}:"), sent, BATCH))

        yield {"EventWriter.submit, LMDB": lmdb, "EventWriter.submit, Redis": on_redis, "POST /v1/events": http}


PARTS = {part.__name__: part for part in (online, point_in_time, scoring, intake)}


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    name, folder, peers = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed here goes with the errors

    def answer(said: Any) -> None:
        print(json.dumps(said), file=answers, flush=True)

    with PARTS[name](Path(folder), Path(peers)) as runs:
        answer(list(runs))
        for line in sys.stdin:
            answer(runs[line.rstrip("\n")]())


if __name__ == "__main__":
    main()
