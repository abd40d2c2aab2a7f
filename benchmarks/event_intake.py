"""Events taken in per second, batched, by one worker: over HTTP, in process (LMDB, Redis), and what log and LMDB alone can do.

    python -m benchmarks.event_intake [--events 20000] [--batch 1000]

An event is an order of one line or a return, over 2,000 customers and 1,000 articles, with the feature set that is
served. The bare loop appends records of the same size to the log and puts as many values of the same size as the
writer puts, a batch a transaction: no judging, no decoding, no arithmetic.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec

from benchmarks.serving import served
from returnml.clock import SystemClock
from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.windows import DAY_US
from returnml.ledger.events import AnyEvent
from returnml.ledger.record_log import START, LogWriter, Record
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import DataPaths
from returnml.store.backend import EVENTS, META, STATE, Backend
from returnml.store.event_writer import EventWriter
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.lmdb.environments import open_live
from returnml.warehouse.ingest.schema import ensure_schema
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.redis_server import RedisProcess
from returnml_tests.roots import rooted


def events(n: int, seed: int) -> list[dict[str, Any]]:
    """Orders of one line; every fourth event is a return of an earlier line."""
    chance = random.Random(seed)
    now = datetime.now(UTC).isoformat()
    made: list[dict[str, Any]] = []
    for i in range(n):
        head = {"event_id": f"e{i}", "occurred_at": now, "currency": "EUR"}
        if i % 4 == 3:
            returned = {"type": "return", "return_id": f"r{i}", "line_id": f"l{i - 3}", "quantity": 1, "refund_cents": 900}
            made.append(head | returned)
            continue
        article = chance.randrange(1000)
        line = {"line_id": f"l{i}", "article_id": f"a{article}", "quantity": 1, "unit_price_cents": 900, "size": "M"}
        line |= {"product_group": f"g{article % 20}", "brand": f"b{article % 50}"}
        order = {"type": "order", "order_id": f"o{i}", "customer_id": f"c{chance.randrange(2000)}", "lines": [line]}
        made.append(head | order | {"country": "DE", "payment_method": "invoice"})
    return made


def batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def publish_empty(backend: Backend) -> None:
    con = open_warehouse(":memory:", threads=1)
    ensure_schema(con)
    cut_off_us = SystemClock().now_us() // DAY_US * DAY_US
    publish_generation(con, [ORDER_LINE], cut_off_us, backend)
    con.close()


def over_http(folder: Path, sent: list[dict[str, Any]], size: int) -> float:
    """Seconds for all of them over one connection."""
    publish_empty(LmdbBackend(DataPaths(rooted(folder / "http", "pseudonymise")).store))
    bodies = [msgspec.json.encode(b) for b in batches(sent, size)]
    with served("serving.app:create_worker", folder / "http", "/v1/events") as (url, _), httpx.Client(timeout=60) as client:
        return seconds(lambda: [client.post(url, content=body).raise_for_status() for body in bodies])


def in_process(backend: Backend, sent: list[dict[str, Any]], size: int) -> float:
    """Seconds for judging, stamping, logging and applying what is decoded already."""
    publish_empty(backend)
    writer = EventWriter(backend, ORDER_LINE, SystemClock(), AS_DELIVERED)
    decoded = batches(msgspec.convert(sent, list[AnyEvent]), size)
    return seconds(lambda: [writer.submit(batch) for batch in decoded])


def bare(folder: Path, sent: list[dict[str, Any]], size: int, puts_per_event: int, value_bytes: int) -> float:
    """Seconds for appending and putting alone."""
    log, live = LogWriter(folder / "bare" / "ledger"), open_live(folder / "bare" / "live")
    value = bytes(value_bytes)
    payloads = batches([msgspec.json.encode(e) for e in sent], size)

    def run() -> None:
        seq, position = 0, START
        for batch in payloads:
            with log.turn(), live.writing() as transaction:
                records = [Record(seq + i, seq + i, payload) for i, payload in enumerate(batch, 1)]
                seq += len(batch)
                for record in records:
                    transaction.put(EVENTS, b"e%d" % record.seq, b"1")
                    for k in range(puts_per_event):
                        transaction.put(STATE, b"%d-%d" % (k, record.seq % 2000), value)
                position = log.append(records, position)
                transaction.put(META, b"mark", b"%d" % seq)

    return seconds(run)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def chosen(about: str | None) -> argparse.Namespace:
    """``events`` and ``batch``, as the command line has them."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=1_000)
    return parser.parse_args()


def main() -> None:
    options = chosen(__doc__)
    sent = events(options.events, seed=1)
    puts = len(ORDER_LINE.groups) + 1
    with tempfile.TemporaryDirectory() as name, closing(RedisProcess()) as redis:
        folder = Path(name)
        on_redis = redis.backend(folder / "redis" / "store")
        found = {
            "POST /v1/events, one worker": over_http(folder, sent, options.batch),
            "EventWriter.submit, LMDB": in_process(LmdbBackend(folder / "lmdb" / "store"), sent, options.batch),
            "EventWriter.submit, Redis": in_process(on_redis, sent, options.batch),
            "bare append and put": bare(folder, sent, options.batch, puts, value_bytes=150),
        }
    for label, taken in found.items():
        print(f"{label:30} {options.events / taken:10,.0f} events/s")


if __name__ == "__main__":
    main()
