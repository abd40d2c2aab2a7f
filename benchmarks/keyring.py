"""What pseudonyms cost: finding a customer (beside an LMDB read and the bare HMAC), registering, forgetting, event intake.

    python -m benchmarks.keyring [--customers 1000000] [--events 20000]

``asked`` is what a score pays: the name before the features are read, and the look afterwards whether it still holds.
The LMDB loop holds the same tags and keys; events are those of ``benchmarks.event_intake``, in process, batches of 1,000.
"""

from __future__ import annotations

import argparse
import hmac
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import numpy as np

from benchmarks.event_intake import batches, events, publish_empty
from returnml.clock import SystemClock
from returnml.features.sets.order_line import ORDER_LINE
from returnml.ledger.events import AnyEvent
from returnml.privacy.customers import AS_DELIVERED, CustomerIds, Pseudonyms, ask_as
from returnml.privacy.keyring import Keyring
from returnml.settings import DataPaths
from returnml.store.event_writer import EventWriter
from returnml.store.lmdb.embedded import LmdbBackend

LOOKUPS = 100_000


def each_us(work: Callable[[str], object], ids: list[str]) -> str:
    took = np.empty(len(ids))
    for i, customer in enumerate(ids):
        begun = time.perf_counter_ns()
        work(customer)
        took[i] = (time.perf_counter_ns() - begun) / 1_000
    p50, p99 = np.percentile(took, [50, 99])
    return f"p50 {p50:6.2f} us   p99 {p99:6.2f} us"


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def intake(folder: Path, sent: list[dict[str, Any]], customers: CustomerIds) -> float:
    backend = LmdbBackend(DataPaths(folder).store)
    publish_empty(backend)
    writer = EventWriter(backend, ORDER_LINE, SystemClock(), customers)
    decoded = batches(msgspec.convert(sent, list[AnyEvent]), 1_000)
    return len(sent) / seconds(lambda: [writer.submit(batch) for batch in decoded])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=20_000)
    options = parser.parse_args()
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keyring = Keyring(folder / "keys", is_created=True)
        ids = [f"customer-{n}" for n in range(options.customers)]
        print(f"register {len(ids):,} new customers   {seconds(lambda: keyring.register(ids)):6.1f} s")
        asked = [chance.choice(ids) for _ in range(LOOKUPS)]
        master = b"x" * 32
        other = lmdb.open(str(folder), map_size=1 << 32)
        with other.begin(write=True) as transaction:
            for customer in ids:
                transaction.put(hmac.digest(master, customer.encode(), "sha256"), b"0123456789")

        def from_lmdb(customer: str) -> object:
            with other.begin() as transaction:
                return transaction.get(hmac.digest(master, customer.encode(), "sha256"))

        customers = Pseudonyms(keyring)
        for _ in range(2):
            print(f"find                        {each_us(keyring.find, asked)}")
            print(f"LMDB read with HMAC         {each_us(from_lmdb, asked)}")
            print(f"HMAC alone                  {each_us(lambda c: hmac.digest(master, c.encode(), 'sha256'), asked)}")
            print(f"asked, as a score pays it   {each_us(lambda c: ask_as(customers, c, lambda name: name), asked)}")
        keyring.begin_forgetting(ids[0], [], "a benchmark", "to measure", 0)
        keyring.finish_forgetting(keyring.pending()[0].pseudonym)
        print(f"overwrite what was deleted {seconds(keyring.purge):6.2f} s")
        sent = events(options.events, seed=1)
        own = Pseudonyms(Keyring(folder / "own", is_created=True))
        for label, names in (("as delivered", AS_DELIVERED), ("pseudonymised", own)):
            print(f"events/s, {label:<15}{intake(folder / label, sent, names):>10,.0f}")


if __name__ == "__main__":
    main()
