"""A customer is asked for by the shop's id and known by the pseudonym."""

from __future__ import annotations

import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.features.sets.customer import CUSTOMER
from returnml.ledger.answer_records import (
    logged_days,
    read_day,
)
from returnml.privacy.customers import Pseudonyms, ask_as
from returnml.privacy.keyring import KEY_BYTES, Keyring, pseudonym_of
from returnml.settings import DataPaths, ServingSettings, Settings
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.roots import rooted
from returnml_tests.serving import shop
from returnml_tests.waiting import PATIENT_LIMITS, eventually
from serving.app import create_app

SHOP_ID = "distinctive-anna"
NAME = pseudonym_of(bytes(KEY_BYTES))


@pytest.fixture
def data(tmp_path):
    """Customer ``c1`` of the shop's tables is called ``NAME``, and has a key."""
    data = rooted(tmp_path / "data", "pseudonymise")
    con = shop.warehouse()
    for table in ("orders", "returns", "outcomes"):
        con.execute(f"UPDATE core.{table} SET customer_id = ?", [NAME])
    publish_generation(con, [shop.ORDER_LINE, CUSTOMER], shop.CUT_OFF_US, LmdbBackend(DataPaths(data).store))
    shop.deploy(data)
    return data


@pytest.fixture
def keyring(data):
    keyring = Keyring(DataPaths(data).keys)
    keyring.register([SHOP_ID], lambda _: bytes(KEY_BYTES))
    return keyring


@pytest.fixture
def client(data, keyring):
    settings = Settings(data=str(data), serving=ServingSettings(log_policy="require", limits=PATIENT_LIMITS))
    with TestClient(create_app(settings, VirtualClock(shop.now_us()), reload_seconds=0.02)) as client:
        yield client


def evidence(client, customer):
    """Pieces ordered plus the customer's orders of a year, from the first line's probability ``e / (e + prior)``."""
    answer = client.post("/v1/score", json=shop.order(customer_id=customer))
    assert answer.status_code == 200, answer.text
    p = answer.json()["lines"][0]["probability"]
    return round(p * shop.PRIOR / (1 - p))


def logged(data):
    root = DataPaths(data).inference_log
    return [answer for day in logged_days(root) for answer in read_day(root, day)]


def test_a_known_customer_is_found_and_the_log_has_the_pseudonym(client, data):
    assert evidence(client, SHOP_ID) == 2 + 3
    [answer] = logged(data)
    assert set(answer.inputs["customer_id"]) == {NAME}
    assert not [f for f in data.rglob("*") if f.is_file() and SHOP_ID.encode() in f.read_bytes()]


def test_an_unknown_customer_is_a_new_one_under_a_name_of_one_answer(client, data, keyring):
    assert [evidence(client, customer) for customer in ("unknown", "unknown", "c_1")] == [2, 2, 2]
    names = {name for answer in logged(data) for name in answer.inputs["customer_id"]}
    assert len(names) == 3
    assert all(len(name) == len(NAME) for name in names)
    assert NAME not in names
    assert keyring.find("unknown") is None


def test_an_event_makes_a_new_customer_known(client, keyring):
    line = {"line_id": "n1", "article_id": "a1", "quantity": 1, "unit_price_cents": 100}
    body = {"type": "order", "event_id": "e1", "order_id": "n", "occurred_at": "2011-06-15T11:00:00Z", "currency": "EUR"}
    sent = client.post("/v1/events", json=body | {"customer_id": "new one", "lines": [line]})
    assert sent.json()["accepted"] == 1, sent.text
    assert evidence(client, "new one") == 2 + 1
    assert keyring.find("new one") is not None


def test_without_the_keyring_nothing_is_scored_until_it_is_back(data, keyring):
    keyring.close()
    keys, kept = DataPaths(data).keys, data.parent / "kept"
    keys.rename(kept)
    with TestClient(create_app(Settings(data=str(data)), VirtualClock(shop.now_us()), reload_seconds=0.02)) as client:
        answer = client.post("/v1/score", json=shop.order())
        assert answer.status_code == 503
        assert "there is no keyring" in answer.json()["detail"]
        kept.rename(keys)
        eventually(lambda: client.get("/health/ready").status_code == 200)
        assert evidence(client, SHOP_ID) == 2 + 3


def test_the_public_events_cannot_erase(client):
    body = {"type": "erasure", "event_id": "e1", "occurred_at": "2011-06-15T11:00:00Z", "customer_id": NAME}
    answer = client.post("/v1/events", json=body).json()
    assert (answer["refused"], answer["events"][0]["rule"]) == (1, "malformed")


def test_who_is_forgotten_while_an_answer_is_made_is_asked_about_again(tmp_path):
    keyring = Keyring(tmp_path / "keys", is_created=True)
    old = keyring.register(["anna"])["anna"]
    asked = []

    def ask(name):
        asked.append(name)
        if len(asked) == 1:
            keyring.begin_forgetting("anna", [], "a clerk", "asked", 1)
        return name

    assert ask_as(Pseudonyms(keyring), "anna", ask) == asked[1]
    assert (len(asked), asked[0]) == (2, old)
    assert asked[1] != old


def test_what_is_known_of_a_customer_is_asked_by_their_id(client, data):
    known, unknown = (client.get(f"/v1/customers/{customer}/features").json() for customer in (SHOP_ID, "unknown"))
    assert (known["customer_id"], known["values"]["customer_orders_count_lifetime"]) == (SHOP_ID, 3)
    assert (unknown["known"], unknown["values"]["customer_orders_count_lifetime"]) == (False, 0)


def test_a_pseudonym_is_no_id_of_the_shop_and_answers_as_nobody(client, data):
    """As a stranger it would be answered 200: with a wrong score, or none of their features."""
    answers = [client.post("/v1/score", json=shop.order(customer_id=NAME))]
    answers += [client.get(f"/v1/customers/{NAME}/{what}") for what in ("features", "features?raw=true")]
    for answer in answers:
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["field"]) == (422, "customer_id")
        assert error["message"].endswith("[customer_id_is_pseudonym]")
    assert logged(data) == []


def test_a_pseudonym_in_an_event_is_refused_and_names_nobody(client, data, keyring):
    line = {"line_id": "n1", "article_id": "a1", "quantity": 1, "unit_price_cents": 100}
    shared = {"occurred_at": "2011-06-15T11:00:00Z", "currency": "EUR", "customer_id": NAME}
    order = shared | {"type": "order", "event_id": "e1", "order_id": "n", "lines": [line]}
    back = {"type": "return", "event_id": "e2", "return_id": "r1", "article_id": "a1", "quantity": 1, "refund_cents": 1}
    told = client.post("/v1/events", json=[order, shared | back]).json()["events"]
    assert [(e["status"], e["rule"], e["field"]) for e in told] == [("refused", "customer_id_is_pseudonym", "customer_id")] * 2
    assert evidence(client, SHOP_ID) == 2 + 3
    assert keyring.find(NAME) is None
