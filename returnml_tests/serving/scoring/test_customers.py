"""``GET /v1/customers/{id}/features`` over Litestar's test client."""

import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.features.sets.customer import CUSTOMER
from returnml.features.sets.order_line import ORDER_LINE
from returnml_tests.serving import shop
from serving.app import create_app

DAY_US = shop.DAY_US


def client_of(data):
    return TestClient(create_app(shop.settings(data), VirtualClock(shop.now_us()), reload_seconds=0.02))


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    shop.publish(data)
    with client_of(data) as client:
        yield client


def ask(client, customer="c1", query=""):
    response = client.get(f"/v1/customers/{customer}/features{query}")
    assert response.status_code == 200, response.text
    return response.json()


def test_a_known_customer_without_any_release(client):
    answer = ask(client)
    assert answer.pop("features")["cut_off"] == "2011-06-15T00:00:00Z"
    values = answer.pop("values")
    assert answer == {
        "customer_id": "c1",
        "known": True,
        "feature_set": "customer",
        "feature_set_hash": CUSTOMER.hash,
        "requested_at": "2011-06-15T12:00:00Z",
    }
    assert list(values) == list(CUSTOMER.outputs)
    counted = {w: values[f"customer_orders_count_{w}"] for w in ("7d", "30d", "90d", "365d", "lifetime")}
    assert counted == {"7d": 1, "30d": 2, "90d": 2, "365d": 3, "lifetime": 3}
    assert values["customer_orders_since_last_days"] == 1.5
    assert values["customer_value_per_line_lifetime"] == 5000
    assert values["customer_return_rate_90d"] == pytest.approx((1 + 1) / (1 + 10), rel=1e-7)
    assert values["customer_refunded_share_90d"] == pytest.approx(2000 / 11_000, rel=1e-7)
    assert values["day_of_week"] == 2


def test_raw_aggregates_are_exact(client):
    raw = ask(client, query="?raw=true")["raw"]
    assert list(raw) == list(CUSTOMER.raw_names)
    assert raw["customer_orders_line_value_cents_sum_lifetime"] == 15_000
    assert raw["customer_orders_since_last_us"] == DAY_US + DAY_US // 2


def test_an_unknown_customer_has_zeros(client):
    answer = ask(client, "nobody")
    assert answer["known"] is False
    assert answer["values"]["customer_orders_count_lifetime"] == 0
    assert answer["values"]["customer_orders_since_last_days"] is None
    assert answer["values"]["customer_value_per_line_365d"] is None
    assert answer["values"]["customer_return_rate_365d"] == pytest.approx(0.1)


@pytest.mark.parametrize("customer", ["c 1", "ü%C3", "1" * 200, "a%3Fb"])
def test_any_id_may_be_asked_for(client, customer):
    assert ask(client, customer)["known"] is False


def test_what_cannot_be_an_id_is_named(client):
    response = client.get(f"/v1/customers/{'x' * 201}/features")
    assert response.status_code == 422
    assert response.json()["errors"] == [{"field": "customer_id", "message": "201 characters: 1 to 200 are allowed"}]
    assert client.get("/v1/customers/c1/features?raw=perhaps").status_code == 400


def test_an_event_is_seen_at_once(tmp_path):
    shop.publish(tmp_path)
    with client_of(tmp_path) as client:
        before = ask(client, "new")
        line = {"line_id": "n1", "article_id": "a1", "quantity": 2, "unit_price_cents": 300}
        order = {"type": "order", "event_id": "e1", "order_id": "n", "customer_id": "new", "currency": "EUR", "lines": [line]}
        sent = client.post("/v1/events", json={**order, "occurred_at": "2011-06-15T11:00:00Z"})
        assert sent.json()["accepted"] == 1
        after = ask(client, "new", "?raw=true")
    assert (before["known"], after["known"]) == (False, True)
    assert (before["features"]["seq"], after["features"]["seq"]) == (0, 1)
    assert after["raw"]["customer_orders_line_value_cents_sum_7d"] == 600
    assert after["raw"]["customer_orders_since_last_us"] == 1
    assert after["requested_at"] == "2011-06-15T12:00:00.000001Z"


def test_a_generation_without_these_features_still_scores(tmp_path):
    shop.publish(tmp_path, feature_sets=[ORDER_LINE])
    shop.deploy(tmp_path)
    with client_of(tmp_path) as client:
        refused = client.get("/v1/customers/c1/features")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "2"
        assert f"it serves the feature sets order_line {ORDER_LINE.hash[:12]}" in refused.json()["detail"]
        assert client.post("/v1/score", json=shop.order()).status_code == 200
        shop.publish(tmp_path)
        assert ask(client)["known"] is True
        assert client.post("/v1/score", json=shop.order()).status_code == 200


def test_no_generation_is_not_ready(tmp_path):
    with client_of(tmp_path) as client:
        response = client.get("/v1/customers/c1/features")
    assert (response.status_code, response.json()["status"]) == (503, 503)
    assert "no generation is published" in response.json()["detail"]
