"""Forgetting a customer: what is gone, what stays, and that a kill anywhere can be finished by running it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from returnml.clock import VirtualClock
from returnml.features.windows import DAY_US
from returnml.ledger.event_records import decode_payload
from returnml.ledger.events import CustomerErased, OrderPlaced, ReturnReceived
from returnml.ledger.record_log import read
from returnml.privacy.customers import Pseudonyms, one_time_name
from returnml.privacy.keyring import Keyring
from returnml.release.erasures import read_erasures
from returnml.release.trail import TrailError
from returnml.store.backend import STATE, Backend
from returnml.store.event_writer import (
    EventWriter,
    ledger_folder,
)
from returnml.store.forgetting import Forgetter, ForgettingRefused
from returnml.store.generation import open_generation
from returnml.store.keys import LINES, LISTS, encode_key
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.proving.verification import verify_store
from returnml.store.reading.online import OnlineFeatures
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.store.live_shop import FEATURES, T0, Ledger, event

NOW = T0 + DAY_US // 2
BY, WHY = "a clerk", "asked by letter"
ANNA = "distinctive-anna"


class ForgetShop:
    """A store with a published generation, its keyring, and whoever takes events in or forgets."""

    def __init__(self, root: Path, make_backend: Callable[[Path], Backend], is_published: bool = True) -> None:
        self.root, self.store = root, root / "store"
        self.backend = make_backend(self.store)
        self.keyring = Keyring(root / "keys", is_created=True)
        self.audit = root / "deployment" / "erasures.jsonl"
        self.clock = VirtualClock(NOW)
        if is_published:
            self.publish(T0)
        self.writer = EventWriter(self.backend, FEATURES, self.clock, Pseudonyms(self.keyring))
        ledger = ledger_folder(self.store)
        self.forgetter = Forgetter(self.keyring, self.writer, ledger, self.audit, lambda _: ["landed"], self.clock)

    def publish(self, cut_off_us: int, **ledger_seq: int) -> None:
        publish_generation(Ledger(self.store).warehouse(), [FEATURES], cut_off_us, self.backend, **ledger_seq)

    def forget(self, customer: str = ANNA) -> bool:
        return self.forgetter.forget(customer, BY, WHY)

    def raw(self, name: str) -> dict[str, list[int | None]]:
        online = OnlineFeatures(FEATURES, LiveStore(self.backend, FEATURES))
        return online.vectors({"customer_id": [name], "size": ["M"]}, NOW + 1_000).raw()

    def ledger(self) -> list:
        return [decode_payload(record).event for record in read(ledger_folder(self.store))]


@pytest.fixture
def shop(tmp_path, make_backend) -> ForgetShop:
    return ForgetShop(tmp_path, make_backend)


def placed(n: int, customer: str = ANNA) -> OrderPlaced:
    line = {"line_id": f"l{n}", "article_id": "x", "size": "M", "quantity": 2, "unit_price_cents": 900}
    return event({"type": "order", "event_id": f"o{n}", "order_id": f"o{n}", "customer_id": customer, "lines": [line]}, T0)


def returned(n: int, line: str, customer: str | None = ANNA) -> ReturnReceived:
    body = {"type": "return", "event_id": f"r{n}", "return_id": f"r{n}", "line_id": line, "quantity": 1, "refund_cents": 9}
    return event(body | {"customer_id": customer, "article_id": "x"}, T0)


def test_the_live_tiles_are_gone_and_the_key_with_them(shop):
    shop.writer.submit([placed(1), placed(2, "bert"), returned(1, "l1", None)])
    anna, bert = (shop.keyring.find(name) for name in (ANNA, "bert"))
    before = shop.raw(bert)
    new = shop.raw(one_time_name())
    assert shop.raw(anna) != new
    assert shop.forget()
    assert shop.keyring.find(ANNA) is None
    assert shop.raw(anna) == new
    assert shop.raw(bert) == before != new
    with shop.backend.writing() as transaction:
        keys = [encode_key(group + lists, parts) for group, parts in ((0, [anna]), (1, [anna, "M"])) for lists in (0, LISTS)]
        assert [transaction.get(STATE, key) for key in keys] == [None] * 4
        assert transaction.get(STATE, encode_key(0, [bert])) is not None


def published_keys(shop: ForgetShop) -> set[bytes]:
    return {key for key, _ in open_generation(shop.store / shop.backend.published(), FEATURES).items() if key[0] < LINES}


def test_a_generation_of_before_the_erasure_has_no_key_of_the_forgotten_whatever_was_ingested_of_it(shop):
    """Forgotten at half past midnight, published with the cut-off of midnight: no day of the warehouse has the erasure."""
    midnight = T0 + DAY_US
    shop.writer.submit([placed(1), placed(2, "bert")])
    anna, bert = (shop.keyring.find(name) for name in (ANNA, "bert"))
    shop.clock.advance_to(midnight + DAY_US // 48)
    assert shop.forget()
    shop.publish(midnight, ledger_seq=2)
    held = published_keys(shop)
    assert (encode_key(0, [bert]) in held, any(anna.encode() in key for key in held)) == (True, False)
    assert shop.raw(anna) == shop.raw(one_time_name())


def test_somebody_who_is_forgotten_while_a_generation_is_written_is_not_in_what_is_published(shop):
    shop.writer.submit([placed(1), placed(2, "bert")])
    anna, install = shop.keyring.find(ANNA), shop.backend.install
    shop.clock.advance_to(T0 + DAY_US)
    forgotten = []

    def forget_first(folder):
        if not forgotten:
            forgotten.append(shop.forget())
        install(folder)

    shop.backend.install = forget_first
    shop.publish(T0 + DAY_US, ledger_seq=2)
    held = published_keys(shop)
    assert (forgotten, len(held) > 0, any(anna.encode() in key for key in held)) == ([True], True, False)


def test_the_ledger_and_the_audit_trail_say_it_by_pseudonym_once(shop):
    shop.writer.submit([placed(1)])
    anna = shop.keyring.find(ANNA)
    shop.clock.advance_to(NOW + 5)
    assert shop.forget()
    assert not shop.forget()
    [erased] = [e for e in shop.ledger() if isinstance(e, CustomerErased)]
    assert erased.customer_id == anna
    [record] = read_erasures(shop.audit)
    assert (record.pseudonym, record.by, record.why, record.at_us, record.seq) == (anna, BY, WHY, NOW + 5, 2)
    files = [file for file in shop.root.rglob("*") if file.is_file()]
    assert not [file for file in files if ANNA.encode() in file.read_bytes()]


def test_what_the_store_replays_from_the_ledger_leaves_the_customer_out(shop):
    shop.writer.submit([placed(1), placed(2, "bert")])
    anna, bert = (shop.keyring.find(name) for name in (ANNA, "bert"))
    shop.forget()
    before = shop.raw(bert)
    shop.publish(T0)
    assert shop.raw(anna) == shop.raw(one_time_name())
    assert shop.raw(bert) == before


def test_the_store_is_what_the_ledger_says_after_erasure_and_late_return(shop):
    shop.writer.submit([placed(1), placed(2, "bert")])
    shop.forget()
    shop.writer.submit([returned(1, "l1"), placed(3)])
    assert verify_store(shop.backend, FEATURES).problems == []


def test_a_later_order_is_a_new_customers_and_a_late_return_the_old_ones(shop):
    shop.writer.submit([placed(1)])
    old = shop.keyring.find(ANNA)
    shop.forget()
    shop.writer.submit([placed(2), returned(1, "l1")])
    new = shop.keyring.find(ANNA)
    assert new not in (None, old)
    assert shop.raw(new)["customer_orders_count_lifetime"] == [1]
    assert shop.raw(new)["pair_returns_count_2d"] == [0]
    assert shop.raw(old)["customer_orders_count_lifetime"] == [0]
    assert shop.raw(old)["pair_returns_count_2d"] == [1]
    assert [e.customer_id for e in shop.ledger()] == [old, old, new, old]


def test_a_late_return_of_a_line_that_only_landing_files_have_links_nobody(shop):
    shop.keyring.register([ANNA])
    old = shop.keyring.find(ANNA)
    shop.forget()
    shop.writer.submit([placed(2), returned(1, "landed")])
    assert shop.keyring.find(ANNA) != old
    assert shop.ledger()[-1].customer_id == old


def test_nobody_is_forgotten_by_an_id_that_has_no_key(shop):
    assert not shop.forget("nobody")
    assert shop.ledger() == []
    assert read_erasures(shop.audit) == []


@pytest.mark.parametrize(("by", "why"), [(f"for {ANNA}", WHY), (BY, f"letter of {ANNA}")])
def test_the_id_does_not_get_into_the_audit_trail(shop, by, why):
    shop.writer.submit([placed(1)])
    with pytest.raises(ForgettingRefused, match="must not say"):
        shop.forgetter.forget(ANNA, by, why)
    assert shop.keyring.find(ANNA) is not None


def test_without_anything_published_the_ledger_says_it_and_publishing_takes_it_over(tmp_path, make_backend):
    shop = ForgetShop(tmp_path, make_backend, is_published=False)
    shop.keyring.register([ANNA, "bert"])
    assert shop.forget()
    assert shop.forget("bert")
    assert len(shop.ledger()) == len(read_erasures(shop.audit)) == 2
    shop.publish(T0)
    [applied] = shop.writer.submit([placed(1)])
    assert applied.outcome.seq == 3


def test_an_event_with_the_id_of_an_erasure_does_not_stand_in_for_it(shop):
    shop.writer.submit([placed(1)])
    anna = shop.keyring.find(ANNA)
    shop.writer.submit([placed(2, "bert").__class__(**{**_fields(placed(2, "bert")), "event_id": f"erasure of {anna}"})])
    assert shop.forget()
    assert isinstance(shop.ledger()[-1], CustomerErased)


def _fields(placed: OrderPlaced) -> dict:
    return {name: getattr(placed, name) for name in placed.__struct_fields__}


def test_a_damaged_trail_stops_it_and_a_torn_line_does_not(shop):
    shop.writer.submit([placed(1), placed(2, "bert"), placed(3, "cleo")])
    shop.forget()
    whole = shop.audit.read_bytes()
    shop.audit.write_bytes(whole + b'{"pseudonym"')
    assert shop.forget("bert")
    assert len(read_erasures(shop.audit)) == 2
    shop.audit.write_bytes(shop.audit.read_bytes().replace(BY.encode(), b"another"))
    with pytest.raises(TrailError, match="chain is broken"):
        shop.forget("cleo")
    assert [p.by for p in shop.keyring.pending()] == [BY]
    shop.audit.write_bytes(shop.audit.read_bytes().replace(b"another", BY.encode()))
    assert len(shop.forgetter.finish()) == 1


def test_an_old_keyring_is_forgotten_again(shop):
    shop.writer.submit([placed(1), placed(2, "bert")])
    old = shop.keyring.find(ANNA)
    shop.forget()
    tag = shop.keyring._tag(ANNA)
    shop.keyring._con.execute("INSERT INTO customers VALUES (?, ?)", (tag, bytes.fromhex(old[2:])))
    assert shop.keyring.find(ANNA) == old
    assert shop.forgetter.forget_again() == 1
    assert shop.keyring.find(ANNA) is None
    assert shop.keyring.find("bert") is not None


STEPS = {
    "the key is set aside": "Keyring.begin_forgetting",
    "the lines are kept": "Keyring.keep_lines",
    "the ledger is written": "LogWriter.append",
    "the store is written": "EventWriter.erase",
    "the trail is written": "forgetting.record_erasure",
    "the key is destroyed": "Keyring.finish_forgetting",
    "the files are overwritten": "Keyring.purge",
}
KILLED = """
import os, sys
from pathlib import Path
from returnml.ledger.record_log import LogWriter
from returnml.privacy.keyring import Keyring
from returnml.store import forgetting
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.event_writer import EventWriter
from returnml_tests.store.test_forgetting import ForgetShop

root, place, when = sys.argv[1:]
owner, name = place.split(".")
owner = {"Keyring": Keyring, "LogWriter": LogWriter, "EventWriter": EventWriter, "forgetting": forgetting}[owner]
step = getattr(owner, name)

def killed(*args, **kwargs):
    if when == "after":
        step(*args, **kwargs)
    os._exit(9)

shop = ForgetShop(Path(root), LmdbBackend, is_published=False)
setattr(owner, name, killed)
shop.forget()
"""


@pytest.mark.parametrize("place", STEPS.values(), ids=STEPS)
def test_a_kill_between_two_steps_is_finished_by_the_next_call(tmp_path, place):
    shop = ForgetShop(tmp_path, LmdbBackend)
    shop.writer.submit([placed(1), placed(2, "bert")])
    anna, bert = (shop.keyring.find(name) for name in (ANNA, "bert"))
    tag, beside = shop.keyring._tag(ANNA), shop.raw(bert)
    for when in ("before", "after"):
        command = [sys.executable, "-c", KILLED, str(tmp_path), place, when]
        killed = subprocess.run(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
        assert killed.returncode == 9
    is_owed = bool(shop.keyring.pending())
    assert shop.forget() == is_owed
    assert shop.keyring.pending() == []
    assert shop.keyring.find(ANNA) is None
    assert [e.customer_id for e in shop.ledger() if isinstance(e, CustomerErased)] == [anna]
    assert [json.loads(line)["pseudonym"] for line in shop.audit.read_bytes().splitlines()] == [anna]
    assert shop.raw(anna) == shop.raw(one_time_name())
    assert shop.raw(bert) == beside
    assert not [file for file in (tmp_path / "keys").iterdir() if tag in file.read_bytes()]
    assert shop.keyring.forgotten_lines().keys() == {"l1", "landed"}
