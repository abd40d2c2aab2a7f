"""``POST /v1/score`` against the bare model-only handler, in one run on one worker each; and the features in process.

    python -m benchmarks.serving --data data [--seconds 5] [--connections 16] [--rounds 3]

``cpu us`` is the worker's processor time per request: the figure that a busy machine changes least.

Needs a data root with a deployed release, a published generation and the published warehouse copy or the warehouse
(``make demo`` leaves one). The orders that are posted are real ones of the warehouse, at the store's cut-off.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import httpx
import msgspec
import numpy as np

from benchmarks.load_client import measure
from returnml.clock import FileClockDriver
from returnml.features.sets.order_line import ORDER_LINE
from returnml.settings import DataPaths
from returnml.store.generation import Generation, open_current
from returnml.store.reading.online import OnlineFeatures
from returnml_tests.ports import free_port
from serving.scoring.scorer import order_columns
from serving.wire import Order

LINES = (1, 5, 10)
ORDERS = 500


def real_orders(paths: DataPaths, lines: int) -> list[dict[str, Any]]:
    """Requests of exactly ``lines`` lines, made of real lines: the first ones of larger orders."""
    warehouse = paths.published if paths.published.exists() else paths.warehouse
    columns = "line_id, article_id, quantity, unit_price_cents, size, color, product_group, brand, list_price_cents"
    of_order = "order_id, customer_id, currency, country, payment_method, device, voucher_code"
    with duckdb.connect(str(warehouse), read_only=True) as con:
        rows = con.execute(
            f"SELECT {of_order}, list(struct_pack({columns}) ORDER BY line_id)[1:{lines}] AS lines FROM core.orders "
            f"GROUP BY {of_order} HAVING count(*) >= {lines} ORDER BY hash(order_id) LIMIT {ORDERS}"
        ).fetchall()
    if not rows:
        raise SystemExit(f"{warehouse}: no order has {lines} lines")
    present = [dict(zip([*of_order.split(", "), "lines"], row, strict=True)) for row in rows]
    return [_without_nulls(order) | {"lines": [_without_nulls(line) for line in order["lines"]]} for order in present]


def _without_nulls(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}


@contextmanager
def served(factory: str, data: Path, path: str, replay_clock: Path | None = None) -> Iterator[tuple[str, int]]:
    """Address and process id of a worker of ``factory`` while the block runs."""
    port = free_port()
    options = ["--factory", "--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    # The requests name customers as the warehouse does.
    environ = os.environ | {"RETURNML_DATA": str(data), "RETURNML_PRIVACY__CUSTOMER_IDS": "as_delivered"}
    if replay_clock is not None:
        environ["RETURNML_REPLAY_CLOCK"] = str(replay_clock)
    command = [sys.executable, "-m", "uvicorn", factory, *options, "--log-level", "warning"]
    process = subprocess.Popen(command, env=environ)
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}{path}", process.pid
    finally:
        process.terminate()
        process.wait(20)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_process(generation: Generation, orders: list[dict[str, Any]]) -> tuple[float, float]:
    """p50 and p99 in microseconds of one order's vectors: keys, reads, windows, basket, derived features, matrix."""
    online = OnlineFeatures(ORDER_LINE, generation)
    requests = [order_columns(msgspec.convert(order, Order)) for order in orders]
    took = []
    for request in requests * 4:
        begun = time.perf_counter_ns()
        online.vectors(request, generation.cut_off_us)
        took.append(time.perf_counter_ns() - begun)
    p50, p99 = np.percentile(np.array(took[len(requests) :]) / 1000, [50, 99])
    return float(p50), float(p99)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    paths = DataPaths(options.data)
    generation = open_current(paths.store, ORDER_LINE)
    online = OnlineFeatures(ORDER_LINE, generation)
    FileClockDriver(paths.replay_clock, generation.cut_off_us)
    print(f"{'what':<34}{'lines':>6}{'round':>6}{'requests/s':>12}{'p50 us':>9}{'p99 us':>9}{'cpu us':>8}{'errors':>7}")
    for lines in LINES:
        orders = real_orders(paths, lines)
        with tempfile.TemporaryDirectory() as folder:
            bodies = {"/v1/score": Path(folder, "orders.jsonl"), "/score": Path(folder, "rows.jsonl")}
            bodies["/v1/score"].write_text("".join(json.dumps(order) + "\n" for order in orders))
            bodies["/score"].write_bytes(b"".join(_rows(online, order, generation.cut_off_us) + b"\n" for order in orders))
            for number in range(1, options.rounds + 1):
                for factory, path in (("benchmarks.model_only:create_app", "/score"), ("serving.app:create_worker", "/v1/score")):
                    with served(factory, options.data, path, paths.replay_clock) as (url, pid):
                        measure(url, bodies[path], 1, options.connections)
                        before = cpu_seconds(pid)
                        load = measure(url, bodies[path], options.seconds, options.connections)
                        cpu_us = (cpu_seconds(pid) - before) / load.requests * 1e6
                    print(
                        f"{f'POST {path} ({load.client})':<34}{lines:>6}{number:>6}{load.requests_per_second:>12,.0f}"
                        f"{load.p50_us:>9,.0f}{load.p99_us:>9,.0f}{cpu_us:>8,.0f}{load.errors:>7}",
                        flush=True,
                    )
        p50, p99 = in_process(generation, orders)
        print(f"{'OnlineFeatures.vectors, in process':<34}{lines:>6}{'':>6}{'':>12}{p50:>9,.0f}{p99:>9,.0f}")


def _rows(online: OnlineFeatures, order: dict[str, Any], now_us: int) -> bytes:
    matrix = online.vectors(order_columns(msgspec.convert(order, Order)), now_us).matrix
    return msgspec.json.encode({"rows": matrix.tolist()})  # NaN becomes null


if __name__ == "__main__":
    main()
