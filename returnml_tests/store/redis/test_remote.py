"""What only the Redis backend can get wrong: torn loads, lost tables, a second host, what is left behind."""

from __future__ import annotations

import sys

import pytest

from returnml.clock import VirtualClock
from returnml.features.windows import DAY_US
from returnml.ledger.record_log import LogError
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings, StoreSettings
from returnml.store import live_rebuilding
from returnml.store.backend import META, STATE, read_published, write_published
from returnml.store.backend_choice import open_backend
from returnml.store.event_writer import EventWriter
from returnml.store.generation_manifest import StoreError
from returnml.store.live import LiveStore
from returnml.store.proving.verification import rebuild_store
from returnml.store.redis.remote import RedisBackend
from returnml.store.redis.remote_turn import chunks
from returnml.store.redis.server import RedisServer
from returnml_tests.redis_server import PREFIX, client_of
from returnml_tests.roots import rooted
from returnml_tests.store.live_shop import FEATURES, T0
from returnml_tests.store.test_live import NOW, count_and_mark, placed, publish, tear


@pytest.fixture
def store(tmp_path, redis):
    backend = redis.backend(tmp_path / "store")
    publish(backend)
    return backend


def writer(store):
    return EventWriter(store, FEATURES, VirtualClock(NOW), AS_DELIVERED)


def keys(store):
    return sorted(key.decode().removeprefix(PREFIX) for key in client_of(store).scan_iter("*"))


def test_every_key_is_known_and_old_ones_go(store):
    writer(store).submit([placed(1)])
    for day in range(1, 6):
        publish(store, T0 - day * DAY_US)
    found = keys(store)
    assert [sum(key.startswith(kind) for key in found) for kind in ("g:", "t:state:", "t:events:")] == [3, 1, 1]
    made = {key.decode().removeprefix(PREFIX) for key in client_of(store).smembers(PREFIX + "made")}
    assert set(found) == made | {"made", "meta"}


def test_a_killed_load_is_never_published_and_is_removed(store, monkeypatch):
    def killed(items):
        yield next(chunks(items))
        raise KeyboardInterrupt

    writer(store).submit([placed(1)])
    before = keys(store)
    with monkeypatch.context() as patch:
        patch.setattr("returnml.store.redis.remote.chunks", killed)
        with pytest.raises(KeyboardInterrupt):
            publish(store, NOW + 10, ledger_seq=1)
    assert len(keys(store)) == len(before) + 1
    assert LiveStore(store, FEATURES).read([])[0].generation.cut_off_us == T0
    publish(store, NOW + 10, ledger_seq=1)
    assert len(keys(store)) == len(before) + 1  # the generation; what the killed one left is gone
    assert count_and_mark(LiveStore(store, FEATURES)) == ([1], 1)


def test_a_generation_that_lost_a_key_cannot_be_published_and_is_repaired_by_publishing(store):
    writer(store).submit([placed(1)])
    torn = publish(store, NOW + 10, ledger_seq=1)
    tear(store, torn)
    with pytest.raises(StoreError, match="not whole"), store.writing() as transaction:
        write_published(transaction, "20241021T000000000000Z-other", store.owner)
    name = store.published()
    publish(store, T0)
    with pytest.raises(StoreError, match="not whole"), store.writing() as transaction:
        write_published(transaction, name, store.owner)
    publish(store, NOW + 10, ledger_seq=1)
    assert store.open(name, FEATURES).name == name
    assert count_and_mark(LiveStore(store, FEATURES)) == ([1], 1)


def test_a_generation_or_live_part_that_is_gone_is_no_unknown_customer(store):
    live = LiveStore(store, FEATURES)
    writer(store).submit([placed(1)])
    assert count_and_mark(live) == ([1], 1)
    client = client_of(store)
    for kind in ("g:*", "t:state:*"):
        [key] = client.keys(PREFIX + kind)
        client.rename(key, "elsewhere")
        with pytest.raises(StoreError, match="is gone"):
            count_and_mark(live)
        client.rename("elsewhere", key)
    assert count_and_mark(live) == ([1], 1)


def test_lost_event_ids_stop_the_intake_until_all_is_built_again(store):
    writer(store).submit([placed(1), placed(2)])
    client = client_of(store)
    client.delete(*client.keys(PREFIX + "t:events:*"))
    with pytest.raises(StoreError, match="no generation is published"):
        writer(store).submit([placed(1)])
    publish(store)
    assert [a.is_duplicate for a in writer(store).submit([placed(1), placed(3)])] == [True, False]
    assert count_and_mark(LiveStore(store, FEATURES)) == ([3], 3)


def test_a_commit_after_another_one_is_refused_whole(store, redis):
    other = redis.backend(store.root)
    slow = store.writing()
    turn = slow.__enter__()
    turn.put(STATE, b"key", b"slow")
    with other.writing() as fast:
        fast.put(STATE, b"key", b"fast")
        fast.put(META, b"mark", b"\0" * 32)
    with pytest.raises(StoreError, match="another writer was faster"):
        slow.__exit__(None, None, None)
    with store.writing() as transaction:
        assert (transaction.get(STATE, b"key"), read_published(transaction)) == (b"fast", store.published())


def test_a_second_host_with_a_ledger_of_its_own_cannot_write(store, redis, tmp_path):
    writer(store).submit([placed(1)])
    other = redis.backend(tmp_path / "other" / "store")
    with pytest.raises(LogError, match="segment 1 is missing"):
        writer(other).submit([placed(2)])
    assert count_and_mark(LiveStore(other, FEATURES)) == ([1], 1)


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_a_server_that_forgot_is_caught_up_bit_by_bit(store, redis, monkeypatch, at_once):
    """Also with hashes so large that they are written and read in parts, ahead of the commit."""
    monkeypatch.setattr("returnml.store.event_writer.AT_ONCE", at_once)
    monkeypatch.setattr("returnml.store.live_rebuilding.AT_ONCE", at_once)
    monkeypatch.setattr("returnml.store.redis.remote_turn.MAX_FIELDS", 2)
    monkeypatch.setattr("returnml.store.redis.remote_turn.MAX_KNOWN", 3)
    writer(store).submit([placed(1)])
    redis.command("SAVE")
    for n in range(2, 6):
        writer(store).submit([placed(n), placed(10 * n)])
    redis.kill()
    redis.start()
    assert count_and_mark(LiveStore(store, FEATURES)) == ([1], 1)
    writer(store).submit([])
    assert count_and_mark(LiveStore(store, FEATURES)) == ([9], 9)
    redis.command("FLUSHALL")
    publish(store)
    assert count_and_mark(LiveStore(store, FEATURES)) == ([9], 9)
    assert all(a.is_duplicate for a in writer(store).submit([placed(n) for n in range(1, 6)]))


def test_a_turn_without_events_writes_nothing(store):
    intake = writer(store)
    intake.submit([placed(1)])
    before = (
        client_of(store).info("stats")["total_commands_processed"],
        client_of(store).info("persistence")["rdb_changes_since_last_save"],
    )
    intake.submit([])
    assert client_of(store).info("persistence")["rdb_changes_since_last_save"] == before[1]


def test_a_server_that_may_remove_any_key_is_refused(store, redis):
    assert redis.command("CONFIG SET maxmemory-policy allkeys-lru") == "+OK"
    try:
        with pytest.raises(StoreError, match="allkeys-lru"):
            publish(store, T0 - DAY_US)
    finally:
        redis.command("CONFIG SET maxmemory-policy noeviction")


@pytest.fixture
def full(store, redis):
    """A server whose memory is full: what writes is refused, what reads must not be."""

    def fill():
        used = client_of(store).info("memory")["used_memory"]
        assert redis.command(f"CONFIG SET maxmemory {used // 2}") == "+OK"

    yield fill
    redis.command("CONFIG SET maxmemory 0")


def test_a_full_server_is_read_and_what_does_not_fit_leaves_nothing(store, full):
    live = LiveStore(store, FEATURES)
    live.refresh()
    writer(store).submit([placed(1)])
    before = keys(store)
    full()
    assert count_and_mark(live) == ([1], 1)
    fresh = LiveStore(store, FEATURES)
    fresh.refresh()
    assert count_and_mark(fresh) == ([1], 1)
    with pytest.raises(StoreError, match=r"takes about .* beside the published one"):
        publish(store, NOW + 10, ledger_seq=1)
    with pytest.raises(StoreError, match=r"takes about .* beside the published one"):
        rebuild_store(store, FEATURES)
    with pytest.raises(StoreError, match="maxmemory"):
        writer(store).submit([placed(2)])
    assert (keys(store), count_and_mark(live)) == (before, ([1], 1))


def test_a_load_that_the_server_refuses_midway_is_removed(store, full, monkeypatch):
    writer(store).submit([placed(1)])
    before = keys(store)
    monkeypatch.setattr("returnml.store.redis.remote_turn.MAX_FIELDS", 1)
    monkeypatch.setattr(RedisBackend, "_check_room", lambda *_: full())
    for attempt in (lambda: publish(store, NOW + 10, ledger_seq=1), lambda: rebuild_store(store, FEATURES)):
        with pytest.raises(StoreError, match="maxmemory"):
            attempt()
        assert keys(store) == before
        client_of(store).config_set("maxmemory", 0)
    assert count_and_mark(LiveStore(store, FEATURES)) == ([1], 1)


def test_what_was_loaded_and_cannot_be_published_is_removed(store, full, monkeypatch):
    writer(store).submit([placed(1)])
    before = keys(store)
    replay = live_rebuilding.replay_ledger

    def fills_up(*of):
        replay(*of)
        full()

    monkeypatch.setattr(live_rebuilding, "replay_ledger", fills_up)
    for attempt in (lambda: publish(store, NOW + 10, ledger_seq=1), lambda: rebuild_store(store, FEATURES)):
        with pytest.raises(StoreError, match="maxmemory"):
            attempt()
        assert keys(store) == before
        client_of(store).config_set("maxmemory", 0)
    assert count_and_mark(LiveStore(store, FEATURES)) == ([1], 1)


def test_a_read_that_a_commit_came_between_is_made_again(store, monkeypatch):
    """As if the server had let another client in between two commands of one read."""
    live = LiveStore(store, FEATURES)
    assert count_and_mark(live) == ([0], 0)
    ask, asked = RedisServer._ask, []

    def interrupted(server, request, replies):
        found = ask(server, request, replies)
        asked.append(request)
        if len(asked) == 1:
            writer(store).submit([placed(1)])
            found[-1] = ask(server, request, replies)[-1]
        return found

    monkeypatch.setattr(RedisServer, "_ask", interrupted)
    assert live.read([])[0].seq == 1
    assert len(asked) == 2


def test_settings_that_cannot_be_are_refused(tmp_path, monkeypatch):
    rooted(tmp_path)
    with pytest.raises(StoreError, match="hash tag"):
        RedisBackend(tmp_path, "redis://localhost", "returnml:")
    with pytest.raises(StoreError, match=r"store\.redis_url"):
        RedisBackend(tmp_path, "localhost:6379", "{returnml}:")
    monkeypatch.setitem(sys.modules, "returnml.store.redis.remote", None)
    with pytest.raises(StoreError, match=r"install returnml\[redis\]"):
        open_backend(Settings(data=str(tmp_path), store=StoreSettings("redis")))


def test_a_password_is_not_said(tmp_path):
    with pytest.raises(StoreError) as error:
        RedisBackend(tmp_path, "redis://me:secret@127.0.0.1:1/0", "{x}:").published()
    assert "127.0.0.1:1" in str(error.value)
    assert "secret" not in str(error.value)
