"""The live store on both backends where things go wrong: foreign generations, a lost store, a generation without the ledger."""

import shutil

import pytest

from returnml.clock import VirtualClock
from returnml.features.windows import DAY_US
from returnml.ledger.record_log import read
from returnml.privacy.customers import AS_DELIVERED
from returnml.store.event_writer import (
    EventWriter,
    ledger_folder,
)
from returnml.store.generation_manifest import StoreError
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.reading.online import OnlineFeatures
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.redis_server import client_of
from returnml_tests.store.live_shop import FEATURES, T0, Ledger, event
from returnml_tests.store.streams import feature_set as other_features
from returnml_tests.store.streams import warehouse as other_warehouse

NOW = T0 + DAY_US // 2
ORDER = {"customer_id": ["a"], "size": ["M"]}


def placed(n, quantity=1):
    line = {"line_id": f"l{n}", "article_id": "x", "size": "M", "quantity": quantity, "unit_price_cents": 100}
    return event({"type": "order", "event_id": f"e{n}", "order_id": f"o{n}", "customer_id": "a", "lines": [line]}, NOW)


def publish(backend, cut_off_us=T0, **ledger_seq):
    return publish_generation(Ledger(backend.root).warehouse(), [FEATURES], cut_off_us, backend, **ledger_seq)


@pytest.fixture
def store(tmp_path, make_backend):
    backend = make_backend(tmp_path / "store")
    publish(backend)
    return backend


@pytest.fixture
def writer(store):
    return EventWriter(store, FEATURES, VirtualClock(NOW), AS_DELIVERED)


def count_and_mark(live):
    vectors = OnlineFeatures(FEATURES, live).vectors(ORDER, NOW)
    return vectors.raw()["customer_orders_count_lifetime"], vectors.seen.seq


def tear(backend, generation):
    """One byte is another, or one key is gone."""
    if isinstance(backend, LmdbBackend):
        database = generation.path / "data.mdb"
        content = bytearray(database.read_bytes())
        content[-1] ^= 1
        database.unlink()
        database.write_bytes(content)
        return
    client = client_of(backend)
    key = f"{backend.prefix}g:{generation.name}"
    assert client.hdel(key, next(field for field in client.hkeys(key) if len(field) > 1))


def lose(backend, make_backend):
    """Returns a backend of the same store without its live part."""
    if isinstance(backend, LmdbBackend):
        shutil.rmtree(backend.root / "live")
    else:
        client_of(backend).flushall()
    return make_backend(backend.root)


def test_all_operations_of_generation_and_live_part_together(store, writer):
    writer.submit([placed(1, 5), placed(2, 3)])
    publish(store, NOW + 10, ledger_seq=2)
    writer.submit([placed(3, 3), placed(4, 4)])
    raw = OnlineFeatures(FEATURES, LiveStore(store, FEATURES)).vectors(ORDER, NOW).raw()
    value = {o: raw[f"pair_orders_quantity_{o}_2d"] for o in ("sum", "sum_of_squares", "min", "max", "last", "distinct")}
    assert value == {"sum": [15], "sum_of_squares": [59], "min": [3], "max": [5], "last": [4], "distinct": [3]}
    assert raw["pair_returns_refund_cents_min_1d"] == [None]
    # Known at NOW + 10 and one later: never before the cut-off, though the clock stands before it.
    assert raw["customer_orders_since_last_us"] == [1]


def test_a_refused_generation_leaves_the_one_before_without_what_came_later(store, writer):
    live = LiveStore(store, FEATURES)
    live.refresh()
    writer.submit([placed(1)])
    assert count_and_mark(live) == ([1], 1)
    publish_generation(other_warehouse([]), [other_features()], T0 + 1, store)
    assert count_and_mark(live) == ([0], 0)
    with pytest.raises(StoreError, match="foreign generation"):
        live.refresh()
    assert count_and_mark(live) == ([0], 0)
    with pytest.raises(StoreError, match="foreign generation"):
        writer.submit([placed(2)])
    publish(store)
    assert count_and_mark(live) == ([1], 1)


def test_a_torn_generation_is_found_by_the_next_verification(store, writer):
    live = LiveStore(store, FEATURES)
    live.refresh()
    writer.submit([placed(1)])
    torn = publish(store, NOW + 10, ledger_seq=1)
    assert count_and_mark(live) == ([1], 1)
    tear(store, torn)
    with pytest.raises(StoreError, match="torn or changed"):
        live.refresh()
    assert (live.generation.cut_off_us, *count_and_mark(live)) == (T0, [0], 0)


def test_no_verdict_is_given_by_a_torn_generation(store, writer):
    writer.submit([placed(1)])
    tear(store, publish(store, NOW + 10, ledger_seq=1))
    with pytest.raises(StoreError, match="torn or changed"):
        writer.submit([placed(2)])
    assert [record.seq for record in read(ledger_folder(store.root))] == [1]
    publish(store, NOW + 20, ledger_seq=1)
    [applied] = writer.submit([placed(2)])
    assert applied.outcome.seq == 2


def test_a_generation_that_is_no_database_is_refused_within_the_request(tmp_path):
    backend = LmdbBackend(tmp_path / "store")
    database = publish(backend).path / "data.mdb"
    size = database.stat().st_size
    database.unlink()
    database.write_bytes(bytes(size))
    with pytest.raises(StoreError):
        count_and_mark(LiveStore(LmdbBackend(tmp_path / "store"), FEATURES))


def test_a_lost_live_part_is_built_again_from_the_ledger(store, writer, make_backend):
    writer.submit([placed(1), placed(2)])
    writer.close()
    store = lose(store, make_backend)
    with pytest.raises(StoreError, match="no generation is published"):
        EventWriter(store, FEATURES, VirtualClock(NOW), AS_DELIVERED).submit([placed(3)])
    publish(store)
    assert count_and_mark(LiveStore(store, FEATURES)) == ([2], 2)
    again = EventWriter(store, FEATURES, VirtualClock(NOW), AS_DELIVERED).submit([placed(1), placed(3)])
    assert [(a.is_duplicate, a.outcome.seq) for a in again] == [(True, 1), (False, 3)]


def test_a_generation_past_events_that_it_does_not_hold_is_refused_where_order_matters(store, writer):
    writer.submit([placed(1)])
    with pytest.raises(StoreError, match=r"event 'e1' \(seq 1\) was known before the cut-off"):
        publish(store, NOW + 1)
    assert count_and_mark(LiveStore(store, FEATURES)) == ([1], 1)
    publish(store, NOW + 1, ledger_seq=1)
    assert count_and_mark(LiveStore(store, FEATURES)) == ([1], 1)
