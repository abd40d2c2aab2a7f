"""Amounts in another currency than the shop's: refused in events and in orders to be scored, never added."""

import msgspec
import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.settings import ShopSettings
from returnml_tests.serving import shop
from returnml_tests.serving.intake.test_events import (
    placed,
    returned,
)
from serving.app import create_app


@pytest.fixture
def data(tmp_path):
    data = tmp_path / "data"
    shop.publish(data)
    shop.deploy(data)
    return data


def service(data, currency=None):
    settings = msgspec.structs.replace(shop.settings(data), shop=ShopSettings(currency))
    return TestClient(create_app(settings, VirtualClock(shop.now_us()), reload_seconds=0.02), raise_server_exceptions=False)


def statuses(client, *events):
    return [(e["status"], e.get("rule"), e.get("field")) for e in client.post("/v1/events", json=list(events)).json()["events"]]


OTHER = ("refused", "currency_differs", "currency")


def test_undeclared_the_first_amount_says_it(data):
    with service(data) as client:
        assert client.post("/v1/score", json=shop.order(currency="JPY")).status_code == 200
        told = statuses(
            client,
            placed("e1", "o20", currency="GBP"),
            placed("e2", "o21", currency="USD"),
            returned("e3", "r3", "o20-1", currency="JPY"),
            returned("e4", "r4", "o20-1", currency="GBP"),
        )
        assert told == [("accepted", None, None), OTHER, OTHER, ("accepted", None, None)]
        assert client.post("/v1/score", json=shop.order(currency="GBP")).status_code == 200
        refused = client.post("/v1/score", json=shop.order(currency="JPY"))
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "currency")
        assert "JPY, but the shop's amounts are in GBP" in refused.json()["detail"]
    with service(data) as client:
        assert statuses(client, placed("e9", "o29", currency="EUR")) == [OTHER]


def test_the_declared_one_holds_from_the_first_event_on(data):
    with service(data, "EUR") as client:
        assert client.post("/v1/score", json=shop.order(currency="JPY")).status_code == 422
        assert statuses(client, placed("e1", "o20", currency="GBP"), placed("e2", "o20")) == [OTHER, ("accepted", None, None)]


def test_a_store_in_another_one_than_declared_takes_nothing_in_and_scores_nothing(data):
    with service(data) as client:
        assert statuses(client, placed("e1", "o20", currency="GBP")) == [("accepted", None, None)]
    with service(data, "EUR") as client:
        for answer in (client.post("/v1/events", json=placed("e2", "o21")), client.post("/v1/score", json=shop.order())):
            assert answer.status_code == 503
            assert "shop.currency is EUR" in answer.json()["detail"]
            assert "GBP" in answer.json()["detail"]
