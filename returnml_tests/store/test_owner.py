"""Whose a store is: another data root's is refused by name, by readers, writers and publishers."""

import shutil

import pytest

from returnml.clock import VirtualClock
from returnml.privacy.customers import AS_DELIVERED
from returnml.root import read_root
from returnml.store.backend import STATE
from returnml.store.event_writer import EventWriter
from returnml.store.generation import open_generation
from returnml.store.generation_manifest import StoreError
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.owner import ForeignStore
from returnml.store.proving.verification import read_live, rebuild_store, verify_store
from returnml_tests.redis_server import PREFIX, client_of
from returnml_tests.roots import rooted, same_root
from returnml_tests.store.live_shop import FEATURES
from returnml_tests.store.test_live import NOW, count_and_mark, placed, publish


def writer(store):
    return EventWriter(store, FEATURES, VirtualClock(NOW), AS_DELIVERED)


def test_two_roots_on_one_server_do_not_take_each_others_place(tmp_path, redis):
    """The first has no events yet: its ledger says nothing that would keep the second from writing."""
    first, second = (redis.backend(rooted(tmp_path / name) / "store") for name in ("first", "second"))
    publish(first)
    reader = LiveStore(first, FEATURES)
    assert count_and_mark(reader) == ([0], 0)
    before = sorted(client_of(first).scan_iter("*"))
    named = f"is of data root {read_root(tmp_path / 'first').root_id[:12]}, and this is"
    attempts = {
        "publish": lambda: publish(second, NOW),
        "read": lambda: LiveStore(second, FEATURES).refresh(),
        "read at once": lambda: count_and_mark(LiveStore(second, FEATURES)),
        "write": lambda: writer(second).submit([placed(1)]),
        "erase": lambda: writer(second).erase("c_1"),
        "status": lambda: read_live(second),
        "verify": lambda: verify_store(second, FEATURES),
        "rebuild": lambda: rebuild_store(second, FEATURES),
    }
    for attempt in attempts.values():
        with pytest.raises(ForeignStore, match=named):
            attempt()
    assert sorted(client_of(first).scan_iter("*")) == before
    writer(first).submit([placed(1)])
    assert count_and_mark(reader) == ([1], 1)
    other_prefix = redis.backend(tmp_path / "second" / "store", "{second}:")
    publish(other_prefix)
    assert count_and_mark(LiveStore(other_prefix, FEATURES)) == ([0], 0)


def test_an_empty_server_is_of_who_loads_first_also_before_it_published(tmp_path, redis):
    first, second = (redis.backend(rooted(tmp_path / name) / "store") for name in ("first", "second"))
    generation = publish(LmdbBackend(first.root))
    first.install(generation.path)
    with pytest.raises(ForeignStore):
        publish(second)
    redis.command("FLUSHALL")
    publish(second)
    with pytest.raises(ForeignStore):
        first.install(generation.path)


def test_another_host_of_the_same_root_reads_and_its_copies(tmp_path, redis):
    owner = redis.backend(rooted(tmp_path / "one") / "store")
    publish(owner)
    writer(owner).submit([placed(1)])
    other = redis.backend(same_root(tmp_path / "two", tmp_path / "one") / "store")
    assert count_and_mark(LiveStore(other, FEATURES)) == ([1], 1)


def test_what_a_version_before_published_is_taken_over_by_its_own_root_alone(tmp_path, redis):
    first, second = (redis.backend(rooted(tmp_path / name) / "store") for name in ("first", "second"))
    name = publish(first).name
    client_of(first).hdel(PREFIX + "meta", "owner")
    with pytest.raises(ForeignStore, match=f"has generation {name}, which says no owner"):
        publish(second)
    publish(first)
    with pytest.raises(ForeignStore, match="is of data root"):
        publish(second)


def test_a_copied_generation_or_live_part_of_another_root_is_refused(tmp_path):
    first, second = (LmdbBackend(rooted(tmp_path / name) / "store") for name in ("first", "second"))
    generation = publish(first)
    publish(second)
    copied = second.root / generation.name
    assert copied.exists()  # the same content has the same name
    (copied / "manifest.json").write_bytes((generation.path / "manifest.json").read_bytes())
    with pytest.raises(ForeignStore, match=f"{copied}/manifest.json: is of data root"):
        open_generation(copied, FEATURES)
    with pytest.raises(StoreError, match="is of data root"):
        count_and_mark(LiveStore(LmdbBackend(second.root), FEATURES))
    publish(second)
    assert count_and_mark(LiveStore(LmdbBackend(second.root), FEATURES)) == ([0], 0)
    (second.root / "live").rename(tmp_path / "kept")
    shutil.copytree(first.root / "live", second.root / "live")
    for attempt in (LmdbBackend(second.root).published, lambda: writer(LmdbBackend(second.root)).submit([placed(1)])):
        with pytest.raises(ForeignStore, match="store/live: is of data root"):
            attempt()


def test_a_store_that_is_nobodys_is_no_roots(tmp_path, redis):
    nobody = redis.backend(tmp_path / "store")
    publish(nobody)
    with nobody.writing() as transaction:
        transaction.put(STATE, b"key", b"value")
    with pytest.raises(ForeignStore, match="is of no data root, and this is data root"):
        publish(redis.backend(rooted(tmp_path / "shop") / "store"))
