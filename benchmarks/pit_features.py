"""Point-in-time features for 2.3M order lines x 32 window columns, side by side with the peer ``np_timeline``.

Same generated data, same columns, same position-sensitive checksums (from the peers' ``offline.py``, imported at run
time). Ours runs from DuckDB tables to a DuckDB table through the real compiler, key encoding included; the peer from
Parquet to numpy arrays.

    python -m benchmarks.pit_features [--rows 2300000] [--rounds 3] [--strings] [--peers ../shared/peers/bench]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

import duckdb

from returnml.features.declarations import Aggregation, KeyGroup, Operation, Stream
from returnml.features.windows import Window
from returnml.warehouse.features.window_aggregates import compute_windows

WINDOWS = tuple(Window.parse(w) for w in ("7d", "30d", "90d", "365d"))
ORDERS = Stream("orders", "core.orders", {"price": 24})
RETURNS = Stream("returns", "core.returns", {"price": 24})


def _group(name: str, key: str) -> KeyGroup:
    return KeyGroup(
        name,
        (key,),
        tuple(
            a
            for stream in (ORDERS, RETURNS)
            for a in (
                Aggregation(stream, Operation.COUNT, None, WINDOWS),
                Aggregation(stream, Operation.SUM, "price", WINDOWS),
            )
        ),
    )


GROUPS = (_group("customer", "customer_id"), _group("item", "item_id"))
LETTERS = {"c": "customer", "i": "item", "o": "orders", "r": "returns"}


def load_peers(folder: Path, work: Path) -> ModuleType:
    """The peers' offline benchmark as a module, its data under ``work``."""
    spec = importlib.util.spec_from_file_location("peers_offline", folder / "offline.py")
    if spec is None or spec.loader is None or not (folder / "offline.py").exists():
        raise SystemExit(f"peers' benchmark not found: {folder / 'offline.py'} (option --peers or PEERS_BENCH)")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module)["WORK"] = str(work)
    return module


def load_tables(con: duckdb.DuckDBPyConnection, peers: ModuleType, rows: int, are_strings: bool) -> None:
    """The generated data as warehouse tables (not timed)."""
    con.execute("create schema core")
    kind = "VARCHAR" if are_strings else "BIGINT"
    for table, path in zip(("orders", "returns"), peers.paths(rows), strict=True):
        con.execute(
            f"create table core.{table} as select line_id, make_timestamp(ts * 1000000) as known_at, "
            f"make_timestamp(ts * 1000000)::DATE as known_day, line_id as seq, customer_id::{kind} as customer_id, "
            f"item_id::{kind} as item_id, price from read_parquet('{path}') order by known_at"
        )
    con.execute("create schema ops")
    con.execute(
        "create view spine as select line_id as moment_id, known_at as requested_at, known_at as visible_until, "
        "known_at as derived_until, customer_id, item_id from core.orders"
    )


def our_checksums(con: duckdb.DuckDBPyConnection, peers: ModuleType) -> dict[str, int]:
    columns = con.execute("select * from result order by moment_id").fetchnumpy()
    line = columns.pop("moment_id")
    measures = {"n": "count", "v": "price_sum"}
    named = {}
    for name in peers.COLS:
        key, stream, measure, days = name.split("_")
        named[name] = columns[f"{LETTERS[key]}_{LETTERS[stream]}_{measures[measure]}_{days}d"]
    return peers.checksum(line, named)


def reference_checksums(folder: Path, work: Path, rows: int) -> dict[str, int]:
    """The peers' plain definition over the whole data, which is generated first where it is not there."""
    peers = load_peers(folder, work)
    if not Path(peers.paths(rows)[0]).exists():
        peers.gen(rows)
    return peers.checksum(*peers.np_reference(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--strings", action="store_true", help="key columns as strings, encoded inside the timed region")
    parser.add_argument("--no-peer", action="store_true", help="time ours only (checksums still come from the peer's file)")
    parser.add_argument("--memory-limit", default="4GB")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "returnml-bench")
    parser.add_argument(
        "--peers", type=Path, default=Path(os.environ.get("PEERS_BENCH", Path(__file__).parents[2] / "shared/peers/bench"))
    )
    args = parser.parse_args()
    peers = load_peers(args.peers, args.work)
    reference = args.work / f"lines-{args.rows}" / "checksums.json"
    if not reference.exists():  # in a process of its own, so that the peak below is ours
        print(f"generating {args.rows:,} lines and their checksums", file=sys.stderr)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            reference.write_text(json.dumps(pool.submit(reference_checksums, args.peers, args.work, args.rows).result()))
    want = json.loads(reference.read_text())
    peak = 0
    times: dict[str, list[float]] = {"np_timeline": [], "returnml": []}
    cpu: list[float] = []
    for _ in range(args.rounds):
        if not args.no_peer:
            start = time.perf_counter()
            peers.np_timeline(args.rows)
            times["np_timeline"].append(time.perf_counter() - start)
        con = duckdb.connect(str(args.work / "bench.duckdb"), config={"threads": 2, "memory_limit": args.memory_limit})
        con.execute("SET TimeZone='UTC'")
        load_tables(con, peers, args.rows, args.strings)
        start, spent = time.perf_counter(), time.process_time()
        compute_windows(con, GROUPS, "spine", "result", from_tiles=False)
        times["returnml"].append(time.perf_counter() - start)
        cpu.append(time.process_time() - spent)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # before the result is fetched to be checked
        got = our_checksums(con, peers)
        con.close()
        (args.work / "bench.duckdb").unlink()
        wrong = [c for c in peers.COLS if got[c] != want[c]]
        if wrong:
            raise SystemExit(f"{len(wrong)} of {len(peers.COLS)} columns differ: {wrong[:4]}")
    best = {name: min(found) for name, found in times.items() if found}
    print(f"{args.rows:,} lines x {len(peers.COLS)} columns, keys {'strings' if args.strings else 'integers'}, all exact")
    for name, seconds in best.items():
        print(f"  {name:12} best {seconds:6.2f} s")
    if "np_timeline" in best:
        print(f"  ratio        {best['returnml'] / best['np_timeline']:.2f} (target: at most 3)")
    print(f"  returnml cpu {min(cpu):6.2f} s; peak of this process {peak:,} MB")


if __name__ == "__main__":
    main()
