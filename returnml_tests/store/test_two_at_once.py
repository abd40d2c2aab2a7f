"""Two writers at once, and two publishers at once, on both backends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from returnml.clock import VirtualClock
from returnml.features.windows import DAY_US
from returnml.ledger.record_log import read
from returnml.privacy.customers import AS_DELIVERED
from returnml.store.event_writer import (
    EventWriter,
    ledger_folder,
)
from returnml.store.generation_manifest import read_pointer
from returnml.store.live import LiveStore
from returnml.store.reading.online import OnlineFeatures
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.store.live_shop import FEATURES, T0, Ledger
from returnml_tests.store.test_live import NOW, ORDER, count_and_mark, placed

BATCHES = 12


@pytest.fixture
def root(tmp_path, make_backend):
    root = tmp_path / "store"
    publish_generation(Ledger(root).warehouse(), [FEATURES], T0, make_backend(root))
    return root


def test_two_writers_take_turns(root, make_backend):
    def write(writer):
        intake = EventWriter(make_backend(root), FEATURES, VirtualClock(NOW), AS_DELIVERED)
        for n in range(BATCHES):
            # Every second event is also sent by the other one.
            answers = intake.submit([placed(2 * n), placed(1000 * writer + n)])
            assert [a.outcome.rule for a in answers] == [None, None]
        intake.close()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write, writer) for writer in (1, 2)]:
            done.result()
    seqs = [record.seq for record in read(ledger_folder(root))]
    assert seqs == list(range(1, 3 * BATCHES + 1))
    assert count_and_mark(LiveStore(make_backend(root), FEATURES)) == ([3 * BATCHES], 3 * BATCHES)


def test_two_publishers_and_a_writer(root, make_backend):
    """Whichever comes last is published, whole, with every event; readers see a generation at every moment."""
    cut_offs = [T0 - day * DAY_US for day in range(8)]

    def publish(own):
        for cut_off_us in own:
            publish_generation(Ledger(root / "none").warehouse(), [FEATURES], cut_off_us, make_backend(root), keep=2)

    def write():
        intake = EventWriter(make_backend(root), FEATURES, VirtualClock(NOW), AS_DELIVERED)
        for n in range(BATCHES):
            intake.submit([placed(n)])
        intake.close()

    live = LiveStore(make_backend(root), FEATURES)
    online = OnlineFeatures(FEATURES, live)
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(publish, cut_offs[::2]), pool.submit(publish, cut_offs[1::2]), pool.submit(write)]
        before = 0
        while not all(r.done() for r in running):
            vectors = online.vectors(ORDER, NOW)
            assert vectors.raw()["customer_orders_count_lifetime"] == [vectors.seen.seq]
            assert vectors.seen.seq >= before
            before = vectors.seen.seq
        for done in running:
            done.result()
    live.refresh()
    kept = read_pointer(root).generations
    assert (live.generation.name, len(kept)) == (kept[0], 2)
    assert count_and_mark(live) == ([BATCHES], BATCHES)
