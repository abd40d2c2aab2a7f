"""Proving the store, on both backends: it is found right where it is, and each kind of damage is found and named."""

import pytest

from returnml.clock import VirtualClock
from returnml.ledger.record_log import segments
from returnml.privacy.customers import AS_DELIVERED
from returnml.store.backend import EVENTS, STATE, read_mark
from returnml.store.event_writer import (
    EventWriter,
    ledger_folder,
)
from returnml.store.generation_manifest import StoreError
from returnml.store.keys import encode_key
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.proving.verification import read_live, rebuild_store, verify_store
from returnml_tests.redis_server import client_of
from returnml_tests.store.live_shop import FEATURES
from returnml_tests.store.test_live import NOW, count_and_mark, lose, placed, publish

ORDER_COUNTS = encode_key(0, ("a",))


@pytest.fixture
def store(tmp_path, make_backend):
    """A generation with one order, two after it, one of them refused."""
    backend = make_backend(tmp_path / "store")
    publish(backend)
    writer = EventWriter(backend, FEATURES, VirtualClock(NOW), AS_DELIVERED)
    writer.submit([placed(1)])
    publish(backend, NOW + 10, ledger_seq=1)
    writer.submit([placed(2), placed(3, quantity=0)])
    return backend


def test_a_store_as_it_should_be(store):
    found = verify_store(store, FEATURES)
    assert found.problems == []
    assert (found.live.mark.seq, found.ledger.last.seq, found.ledger.after, found.ledger.segments) == (3, 3, 2, 1)
    assert found.generation == store.published() == found.live.generation


def test_a_changed_value_is_named(store):
    with store.writing() as transaction:
        value = bytes(transaction.get(STATE, ORDER_COUNTS))
        transaction.put(STATE, ORDER_COUNTS, value[:-1] + bytes([value[-1] ^ 1]))
    [problem] = verify_store(store, FEATURES).problems
    assert "1 of " in problem
    assert f"the first is customer a: it has {len(value)} bytes, generation and ledger give {len(value)} bytes" in problem


def test_a_key_too_many_and_one_that_is_lost_are_named(store):
    with store.writing() as transaction:
        transaction.put(STATE, encode_key(1, ("b", "M")), b"x")
    [problem] = verify_store(store, FEATURES).problems
    assert "the first is pair b/M: it has 1 bytes, generation and ledger give nothing" in problem
    with store.writing() as transaction:
        kept = {key: value for key, value in transaction.items(STATE) if key != ORDER_COUNTS}
        transaction.clear(STATE)
        for key, value in kept.items():
            transaction.put(STATE, key, bytes(value))
    [problem] = verify_store(store, FEATURES).problems
    assert "2 of " in problem
    assert "the first is customer a: it has nothing" in problem


def test_a_forgotten_verdict_is_named_and_rebuilt(store):
    with store.writing() as transaction:
        transaction.clear(EVENTS)
        transaction.put(EVENTS, encode_key(0, ("e1",)), b"\x94\x01\xc0\xc0\xc0")
    [problem] = verify_store(store, FEATURES).problems
    assert problem.startswith("what became of event 2 is noted as None")
    rebuild_store(store, FEATURES)
    assert verify_store(store, FEATURES).problems == []
    [again] = EventWriter(store, FEATURES, VirtualClock(NOW), AS_DELIVERED).submit([placed(3, quantity=0)])
    assert (again.is_duplicate, again.outcome.rule) == (True, "quantity_not_positive")


def test_what_a_lost_live_part_was_is_built_again(store, make_backend):
    before = read_live(store)
    seen = count_and_mark(LiveStore(store, FEATURES))
    store = lose(store, make_backend)
    assert rebuild_store(store, FEATURES).name == before.generation
    after = read_live(store)
    assert (after.state, after.mark.seq) == (before.state, before.mark.seq)
    assert verify_store(store, FEATURES).problems == []
    assert count_and_mark(LiveStore(store, FEATURES)) == seen == ([2], 3)


def test_who_had_a_lost_live_part_open_follows_the_one_made_anew(tmp_path):
    """What the service does that goes on while somebody rebuilds the store."""
    root = tmp_path / "store"
    publish(LmdbBackend(root))
    reader = LiveStore(LmdbBackend(root), FEATURES)
    writer = EventWriter(LmdbBackend(root), FEATURES, VirtualClock(NOW), AS_DELIVERED)
    writer.submit([placed(1)])
    reader.refresh()
    (root / "live").rename(tmp_path / "lost")
    with pytest.raises(StoreError, match="no generation is published"):
        reader.refresh()
    with pytest.raises(StoreError, match="no generation is published"):
        count_and_mark(reader)  # of the generation alone it would lack what was taken in since
    with pytest.raises(StoreError, match="no generation is published"):
        writer.submit([placed(2)])
    rebuild_store(LmdbBackend(root), FEATURES)
    reader.refresh()
    writer.submit([placed(2)])
    assert count_and_mark(reader)[1] == 2
    found = verify_store(LmdbBackend(root), FEATURES)
    assert (found.problems, found.live.mark.seq) == ([], 2)


def test_a_torn_generation_is_found(store):
    generation = store.root / store.published() / "data.mdb"
    content = bytearray(generation.read_bytes())
    content[-1] ^= 1
    generation.unlink()
    generation.write_bytes(content)
    [finding] = verify_store(store, FEATURES).findings
    assert (finding.code, "torn or changed" in finding.what) == ("generation_damaged", True)


@pytest.mark.parametrize("make_backend", ["redis"], indirect=True)
def test_a_value_that_the_server_changed_is_found(store):
    assert client_of(store).hset(f"{store.prefix}g:{store.published()}", ORDER_COUNTS, b"other") == 0
    [problem] = verify_store(store, FEATURES).problems
    assert "customer a: the server has 5 bytes" in problem


def test_a_damaged_ledger_is_found(store):
    [file] = segments(ledger_folder(store.root))
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(content)
    found = verify_store(store, FEATURES)
    [finding] = found.findings
    assert (finding.code, f"{file.name}, byte 0" in finding.what, finding.is_command) == ("ledger_damaged", True, True)
    assert found.ledger is None


def test_a_ledger_that_lost_its_end_is_found(store):
    with store.writing() as transaction:
        end = read_mark(transaction).position.byte
    [file] = segments(ledger_folder(store.root))
    file.write_bytes(file.read_bytes()[: end - 1])
    [finding] = verify_store(store, FEATURES).findings
    assert finding.what == "the live part has event 3, the ledger ends with 2"
    assert finding.mend == "returnml store restore-ledger BACKUP"


def test_nothing_is_rebuilt_from_a_ledger_that_lost_its_end_while_the_live_part_knows_of_it(store, make_backend):
    [file] = segments(ledger_folder(store.root))
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(StoreError, match="the live part has event 3, the ledger ends with 2"):
        rebuild_store(store, FEATURES)
    file.write_bytes(content)
    rebuild_store(store, FEATURES)
    assert read_live(store).mark.seq == 3
    file.write_bytes(content[:-1])
    store = lose(store, make_backend)
    rebuild_store(store, FEATURES)
    assert read_live(store).mark.seq == 2
