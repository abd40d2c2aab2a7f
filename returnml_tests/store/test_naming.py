"""Events on their way into ledger and store: under which name a customer goes there."""

from __future__ import annotations

from pathlib import Path

import pytest

from returnml.clock import VirtualClock
from returnml.ledger.event_records import decode_payload
from returnml.ledger.events import OrderPlaced, ReturnReceived
from returnml.ledger.record_log import read
from returnml.privacy.customers import Pseudonyms
from returnml.privacy.keyring import Keyring
from returnml.store.event_writer import (
    EventWriter,
    ledger_folder,
)
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.store.live_shop import FEATURES, T0, Ledger, event

WHO = ("a clerk", "asked", 1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    publish_generation(Ledger(store).warehouse(), [FEATURES], T0, LmdbBackend(store))
    return store


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys", is_created=True)


@pytest.fixture
def writer(store: Path, keyring: Keyring) -> EventWriter:
    return EventWriter(LmdbBackend(store), FEATURES, VirtualClock(T0), Pseudonyms(keyring))


def placed(n: int, customer: str, quantity: int = 1) -> OrderPlaced:
    line = {"line_id": f"l{n}", "article_id": "x", "quantity": quantity, "unit_price_cents": 900}
    body = {"type": "order", "event_id": f"o{n}", "order_id": f"o{n}", "customer_id": customer, "lines": [line]}
    return event(body, T0)


def returned(n: int, line: str | None, customer: str | None = None) -> ReturnReceived:
    body = {"type": "return", "event_id": f"r{n}", "return_id": f"r{n}", "line_id": line, "quantity": 1, "refund_cents": 9}
    return event(body | {"customer_id": customer, "article_id": "x"}, T0)


def ledger(store: Path) -> list:
    return [decode_payload(record) for record in read(ledger_folder(store))]


def test_the_ledger_and_the_store_know_pseudonyms_alone(writer, store, keyring):
    writer.submit([placed(1, "distinctive-anna"), returned(1, None, "distinctive-bert")])
    order, orphan = (judged.event for judged in ledger(store))
    assert order.customer_id == keyring.find("distinctive-anna")
    assert orphan.customer_id == keyring.find("distinctive-bert")
    files = [file for file in store.parent.rglob("*") if file.is_file()]
    assert len(files) > 5
    assert not [file for file in files if b"distinctive" in file.read_bytes()]


def test_a_blank_customer_id_names_nobody_and_is_refused(writer, store, keyring):
    order, orphan = writer.submit([placed(1, "  "), returned(1, None, "\t")])
    assert (order.outcome.rule, order.outcome.field) == ("customer_id_missing", "customer_id")
    assert orphan.outcome.rule == "unknown_order_line"
    assert [judged.event.customer_id for judged in ledger(store)] == ["  ", "\t"]
    assert (keyring.find("  "), keyring.find("\t")) == (None, None)


def test_a_repeated_event_registers_nobody(writer, keyring):
    writer.submit([placed(1, "anna")])
    keyring.begin_forgetting("anna", [], *WHO)
    [again] = writer.submit([placed(1, "anna")])
    assert again.is_duplicate
    assert keyring.find("anna") is None


@pytest.mark.parametrize("together", [True, False])
def test_a_return_of_a_known_line_names_the_lines_customer_whatever_it_says(writer, store, keyring, together):
    events = [placed(1, "anna", 3), returned(1, "l1", "anna"), returned(2, "l1", "somebody else"), returned(3, "l1")]
    for batch in [events] if together else [[e] for e in events]:
        assert all(applied.outcome.rule is None for applied in writer.submit(batch))
    assert {judged.event.customer_id for judged in ledger(store)} == {keyring.find("anna")}
    assert keyring.find("somebody else") is None


def test_a_late_return_of_somebody_forgotten_links_their_new_name_to_no_old_line(writer, store, keyring):
    writer.submit([placed(1, "anna", 2)])
    old = keyring.find("anna")
    keyring.begin_forgetting("anna", ["l1"], *WHO)
    writer.submit([returned(1, "l1", "anna")])
    assert keyring.find("anna") is None
    writer.submit([placed(2, "anna"), returned(2, "l1", "anna")])
    new = keyring.find("anna")
    assert [judged.event.customer_id for judged in ledger(store)] == [old, old, new, old]
    assert new != old


def test_a_return_of_a_line_whose_order_was_refused_is_an_orphan_of_its_customer(writer, store, keyring):
    refused, orphan = writer.submit([placed(1, "anna", quantity=0), returned(1, "l1", "bert")])
    assert (refused.outcome.rule, orphan.outcome.rule) == ("quantity_not_positive", None)
    assert ledger(store)[1].verdict.is_orphan
    assert ledger(store)[1].event.customer_id == keyring.find("bert")


def test_new_customers_of_a_batch_are_registered_once(writer, keyring, monkeypatch):
    asked = []
    monkeypatch.setattr(keyring, "register", lambda ids, draw: asked.append(sorted(ids)) or Keyring.register(keyring, ids, draw))
    writer.submit([placed(n, f"c{n % 3}") for n in range(9)])
    assert asked == [["c0", "c0", "c0", "c1", "c1", "c1", "c2", "c2", "c2"]]
