"""What a pass over generation and ledger finds, how fast it goes, and that one process of a host makes it."""

import hashlib
import os

import pytest

from returnml.clock import VirtualClock
from returnml.ledger.record_log import segments
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import StoreSettings
from returnml.store.event_writer import (
    EventWriter,
    ledger_folder,
)
from returnml.store.generation import open_generation
from returnml.store.generation_manifest import StoreError
from returnml.store.proving.scrub_report import REPORT_FILE, read_report
from returnml.store.proving.scrubbing import only_one, scrub
from returnml_tests.redis_server import client_of
from returnml_tests.store.live_shop import FEATURES
from returnml_tests.store.test_live import NOW, placed, publish
from serving.scrubber_thread import HOUR_US, Scrubbing, paced


@pytest.fixture
def store(tmp_path, make_backend):
    backend = make_backend(tmp_path / "store")
    publish(backend)
    EventWriter(backend, FEATURES, VirtualClock(NOW), AS_DELIVERED).submit([placed(1)])
    publish(backend, NOW + 10, ledger_seq=1)
    return backend


def flip(file):
    """One bit, in place, as a disk does it: what is mapped shows it, and no time says so."""
    stat = file.stat()
    with open(file, "r+b") as opened:
        opened.seek(-1, os.SEEK_END)
        byte = opened.read(1)[0]
        opened.seek(-1, os.SEEK_END)
        opened.write(bytes([byte ^ 1]))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def passed(store):
    return scrub(store, FEATURES, VirtualClock(NOW), lambda _: None)


def test_a_store_as_it_should_be(store):
    done = passed(store)
    assert (done.findings, done.generation, done.checked_at_us) == ([], store.published(), NOW)
    assert (done.keeps_from_scoring, done.keeps_from_events) == (None, None)
    assert read_report(store.root) == done
    database, [ledger] = store.root / store.published() / "data.mdb", segments(ledger_folder(store.root))
    assert done.bytes >= database.stat().st_size + ledger.stat().st_size - 100


def test_a_bit_of_the_generation_keeps_from_scores_and_events(store):
    flip(store.root / store.published() / "data.mdb")
    done = passed(store)
    [finding] = done.findings
    assert (finding.code, finding.mend.startswith("returnml store publish --cut-off 2024-10-21T12:00:00.000010")) == (
        "generation_damaged",
        True,
    )
    assert done.keeps_from_scoring == done.keeps_from_events == f"{finding.what}; {finding.mend}"


@pytest.mark.parametrize("make_backend", ["redis"], indirect=True)
def test_a_loaded_value_that_changed_keeps_from_scores(store):
    key, value = next(iter(open_generation(store.root / store.published(), FEATURES).items()))
    client_of(store).hset(f"{store.prefix}g:{store.published()}", key, bytes([value[0] ^ 1]) + value[1:])
    done = passed(store)
    assert [finding.code for finding in done.findings] == ["loaded_generation_differs"]
    assert done.keeps_from_scoring is not None


def test_a_bit_of_the_segment_that_is_written_keeps_from_events_alone(store):
    [segment] = segments(ledger_folder(store.root))
    EventWriter(store, FEATURES, VirtualClock(NOW), AS_DELIVERED).submit([placed(2)])
    with open(segment, "r+b") as opened:
        opened.seek(40)
        opened.write(b"!")
    done = passed(store)
    [finding] = done.findings
    assert (finding.code, done.keeps_from_scoring) == ("ledger_damaged", None)
    assert done.keeps_from_events is not None
    later = type(done)(**{name: getattr(done, name) for name in done.__struct_fields__} | {"segment": "another.log"})
    assert later.keeps_from_events is None


def test_it_takes_as_long_as_the_rate_says_and_ends_when_told(store):
    waited = []
    done = scrub(store, FEATURES, VirtualClock(NOW), paced(1_000.0, lambda seconds: bool(waited.append(seconds))))
    assert sum(waited) == pytest.approx(done.bytes / 1_000)
    with pytest.raises(Exception, match=r"^$") as stopped:
        scrub(store, FEATURES, VirtualClock(NOW), paced(1_000.0, lambda _: True))
    assert type(stopped.value).__name__ == "_Stopped"


def test_a_pass_is_due_by_the_clock_or_while_something_is_wrong(store):
    clock = VirtualClock(NOW)
    scrubbing = Scrubbing(StoreSettings(scrub_every_hours=2), store, FEATURES, clock)
    scrubbing.look()
    assert read_report(store.root).checked_at_us == NOW
    clock.advance_to(NOW + 2 * HOUR_US - 1)
    scrubbing.look()
    assert read_report(store.root).checked_at_us == NOW
    clock.advance_to(NOW + 2 * HOUR_US)
    database = store.root / store.published() / "data.mdb"
    before = hashlib.sha256(database.read_bytes()).digest()
    flip(database)
    scrubbing.look()
    assert len(read_report(store.root).findings) == 1
    flip(database)
    assert hashlib.sha256(database.read_bytes()).digest() == before
    scrubbing.look()
    assert read_report(store.root).findings == []


def test_one_process_of_a_host_scrubs(store):
    with only_one(store.root) as is_mine:
        assert is_mine
        Scrubbing(StoreSettings(), store, FEATURES, VirtualClock(NOW)).look()
        assert read_report(store.root) is None


def test_a_report_that_cannot_be_read_is_named(store):
    (store.root / REPORT_FILE).write_text("{")
    with pytest.raises(StoreError, match=f"{REPORT_FILE}: .* may be removed"):
        read_report(store.root)
