"""Publishing: deterministic, atomic under ``kill -9``, verified on opening, the last few kept."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from returnml.features.tiles.arithmetic import TileError
from returnml.features.windows import DAY_US
from returnml.store.generation import Generation, open_current, open_generation
from returnml.store.generation_manifest import (
    FORMAT,
    MANIFEST_FILE,
    POINTER_FILE,
    StoreError,
    read_pointer,
)
from returnml.store.keys import LISTS, TILES, encode_key
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.lmdb.environments import (
    DATABASE_FILE,
    write_database,
)
from returnml.store.reading.online import OnlineFeatures
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.store.streams import feature_set, warehouse

T0 = 1_729_468_800_000_000
FEATURES = feature_set(("1d", "7d", "30d", "365d", "lifetime"))
EVENTS = [(i, T0 + i * DAY_US, i, f"k{i % 3}", "x") for i in range(9)]


def publish(store, days=20, events=EVENTS, keep=3):
    return publish_generation(warehouse(events), [FEATURES], T0 + days * DAY_US, LmdbBackend(store), keep)


def count_of(generation, key="k0"):
    online = OnlineFeatures(FEATURES, generation)
    raw = online.vectors({"key": [key], "other": ["x"]}, generation.cut_off_us).raw()
    return raw["k_events_count_lifetime"][0]


def test_same_inputs_give_the_same_generation(tmp_path):
    first = publish(tmp_path / "one")
    again = publish(tmp_path / "one", events=list(reversed(EVENTS)))
    other = publish(tmp_path / "two")
    assert first.name == again.name == other.name
    assert read_pointer(tmp_path / "one").revision == 1
    assert publish(tmp_path / "two", events=EVENTS[1:]).name != first.name
    assert [(g.name, g.keys, g.tiles) for g in first.manifest.groups] == [("k", 3, 9), ("pair", 3, 9)]


def test_keeps_the_last_generations_and_readers_theirs(tmp_path):
    generations = [publish(tmp_path, days) for days in (3, 4, 5, 6)]
    kept = [g.name for g in reversed(generations[1:])]
    assert read_pointer(tmp_path).generations == kept
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == sorted([*kept, POINTER_FILE, "live"])
    assert [count_of(g) for g in generations] == [1, 2, 2, 2]
    assert open_current(tmp_path, FEATURES).name == generations[-1].name


def test_publishing_an_older_one_again_makes_it_current(tmp_path):
    old, new = publish(tmp_path, 3), publish(tmp_path, 4)
    assert publish(tmp_path, 3).name == old.name
    assert read_pointer(tmp_path).generations == [old.name, new.name]


def test_a_torn_generation_is_refused_and_repaired_by_publishing(tmp_path):
    generation = publish(tmp_path)
    database = generation.path / DATABASE_FILE
    content = bytearray(database.read_bytes())
    database.unlink()
    database.write_bytes(content[:-4096])
    with pytest.raises(StoreError, match="torn or changed"):
        open_current(tmp_path, FEATURES)
    content[9000] ^= 1
    database.write_bytes(content)
    with pytest.raises(StoreError, match="torn or changed"):
        open_current(tmp_path, FEATURES)
    assert count_of(publish(tmp_path)) == 3


def test_foreign_missing_and_mislabelled_generations_are_refused(tmp_path):
    with pytest.raises(StoreError, match="no generation is published"):
        open_current(tmp_path, FEATURES)
    generation = publish(tmp_path)
    with pytest.raises(StoreError, match="foreign generation"):
        open_current(tmp_path, feature_set(("7d",)))
    manifest = generation.path / MANIFEST_FILE
    ours = manifest.read_text()
    manifest.write_text(ours.replace(f'"format": {FORMAT}', '"format": 3'))
    with pytest.raises(StoreError, match=f"manifest.json: format 3, this code reads {FORMAT}: publish again"):
        open_current(tmp_path, FEATURES)
    manifest.write_bytes(ours.encode().replace(b': "', b': "\xff', 1))
    with pytest.raises(StoreError, match=r"manifest\.json: "):
        open_current(tmp_path, FEATURES)
    manifest.write_text(ours)
    renamed = generation.path.rename(tmp_path / "other")
    with pytest.raises(StoreError, match="the manifest is of generation"):
        open_generation(renamed, FEATURES)
    with pytest.raises(StoreError, match="not readable"):
        open_current(tmp_path, FEATURES)
    for damaged in (b"{", b'{"generations":["\xff"]}'):
        (tmp_path / POINTER_FILE).write_bytes(damaged)
        with pytest.raises(StoreError, match=POINTER_FILE):
            open_current(tmp_path, FEATURES)


def test_values_beyond_their_declared_bits_are_refused(tmp_path):
    with pytest.raises(TileError, match=r"core\.events\.value: .* 40 bits"):
        publish(tmp_path, events=[(1, T0, -(2**40), "a", "x")])


@pytest.mark.parametrize("hours", [0, 15])
def test_heads_answer_two_days_and_tiles_the_rest(tmp_path, monkeypatch, hours):
    cut_off_us = T0 + 20 * DAY_US + hours * 3_600_000_000
    generation = publish_generation(warehouse(EVENTS), [FEATURES], cut_off_us, LmdbBackend(tmp_path))
    online, read = OnlineFeatures(FEATURES, generation), []
    keys = Generation.read
    monkeypatch.setattr(Generation, "read", lambda self, asked: read.extend(asked) or keys(self, asked))

    def reads_tiles(at_us):
        read.clear()
        counts = online.vectors({"key": ["k0", "k1", None], "other": ["x"] * 3}, at_us).raw()["k_events_count_7d"]
        assert counts == [0, 0, None]
        return any(TILES <= key[0] < LISTS for key in read)

    days = [T0 + (20 + day) * DAY_US for day in (1, 2, 3)]
    asked = [cut_off_us, days[0] - 1, days[0], days[1] - 1, days[1], days[2]]
    assert [reads_tiles(at_us) for at_us in asked] == [False] * 4 + [True] * 2


def test_a_database_that_cannot_be_written_is_named(tmp_path):
    no_room = -(16 << 20) + 16_384
    with pytest.raises(StoreError, match=f"{tmp_path}: .*MDB_MAP_FULL"):
        write_database(tmp_path, [(b"key", bytes(1 << 20))], no_room)


def test_long_ids_have_keys_of_their_own():
    long = "é" * 5000
    assert len({encode_key(0, (long + end,)) for end in "abc"}) == 3
    assert len(encode_key(0, (long,))) < 511
    assert encode_key(0, ("ab", "c")) != encode_key(0, ("a", "bc"))
    with pytest.raises(ValueError, match="at most 65534"):
        encode_key(0, ("x" * 65535,))


KILLED = """
import sys
from pathlib import Path
from returnml_tests.store.test_generation import publish
for days in range(3, 1000):
    publish(Path(sys.argv[1]), days % 7 + 3)
    print("published", flush=True)
"""


def test_kill_9_leaves_the_old_or_the_new(tmp_path):
    chance = random.Random(4)
    root = Path(__file__).resolve().parents[2]
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"published\n"
        started = time.monotonic()
        assert process.stdout.readline() == b"published\n"
        # Somewhere inside the third publication, as slow as this machine is just now.
        time.sleep((time.monotonic() - started) * chance.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        generation = open_current(tmp_path, FEATURES)
        days = (generation.cut_off_us - T0) // DAY_US
        assert count_of(generation) == len(range(0, min(days, 9), 3))
    publish(tmp_path, 4)
    kept = read_pointer(tmp_path).generations
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == sorted([*kept, "live"])


def test_a_long_history_is_read_by_binary_search(tmp_path):
    events = [(i, T0 - i * DAY_US - 1, 1, "hot", "x") for i in range(700)]
    generation = publish_generation(warehouse(events), [FEATURES], T0, LmdbBackend(tmp_path))
    raw = OnlineFeatures(FEATURES, generation).vectors({"key": ["hot"], "other": [None]}, T0 + 2 * DAY_US).raw()
    counts = [raw[f"k_events_count_{w}"][0] for w in ("1d", "7d", "30d", "365d", "lifetime")]
    assert counts == [0, 5, 28, 363, 700]
    # Tiles older than the longest window are one.
    assert [g.tiles for g in generation.manifest.groups] == [366, 366]
    assert np.isnan(OnlineFeatures(FEATURES, generation).vectors({"key": [None], "other": ["x"]}, T0).matrix[0, 0])
