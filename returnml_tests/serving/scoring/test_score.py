"""``POST /v1/score`` over Litestar's test client: exact answers, and every kind of bad input named."""

import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.features.sets.order_line import ORDER_LINE
from returnml_tests.serving import shop
from serving.app import create_app


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    shop.publish(data)
    shop.deploy(data)
    return data


@pytest.fixture(scope="module")
def client(data):
    with TestClient(create_app(shop.settings(data), VirtualClock(shop.now_us()))) as client:
        yield client


def test_scores_every_line(client, data):
    response = client.post("/v1/score", json=shop.order())
    assert response.status_code == 200
    answer = response.json()
    assert len(answer.pop("request_id")) == 32
    assert answer.pop("release").startswith("return_risk-20110615-")
    assert answer.pop("features")["cut_off"] == "2011-06-15T00:00:00Z"
    # c1 has 3 orders in a year: evidence 2 + 3 of 13, and 1 + 3 of 12.
    p1, p2 = 5 / 13, 4 / 12
    scored = answer.pop("lines")
    assert [line["probability"] for line in scored] == pytest.approx([p1, p2], rel=1e-7)
    assert [(line["line_id"], line["expected_cost_cents"]) for line in scored] == [
        ("l1", round(p1 * (450 + 300 + 0.15 * 4000))),
        ("l2", round(p2 * (450 + 300 + 0.15 * 10000))),
    ]
    assert answer == {
        "order_id": "o9",
        "feature_set_hash": ORDER_LINE.hash,
        "requested_at": "2011-06-15T12:00:00Z",
        "currency": "EUR",
    }


def line(**changed):
    return [{"line_id": "l1", "article_id": "a1", "quantity": 1, "unit_price_cents": 100} | changed]


BAD = [
    ({"surprise": 1}, "surprise"),
    ({"customer_id": 7}, "customer_id"),
    ({"customer_id": ""}, "customer_id"),
    ({"customer_id": None}, "customer_id"),
    ({"currency": "euro"}, "currency"),
    ({"lines": []}, "lines"),
    ({"lines": {}}, "lines"),
    ({"lines": [{**line()[0], "line_id": str(i)} for i in range(201)]}, "lines"),
    ({"lines": line(surprise=1)}, "lines[0].surprise"),
    ({"lines": line(quantity="1")}, "lines[0].quantity"),
    ({"lines": line(quantity=1.5)}, "lines[0].quantity"),
    ({"lines": line(quantity=0)}, "lines[0].quantity"),
    ({"lines": line(unit_price_cents=-1)}, "lines[0].unit_price_cents"),
    ({"lines": line(unit_price_cents=2**35, quantity=2)}, "lines[0].unit_price_cents"),
    ({"lines": line(list_price_cents=-5)}, "lines[0].list_price_cents"),
    ({"lines": line() + line()}, "lines[1].line_id"),
    ({"lines": [{"line_id": "l1", "article_id": "a1", "unit_price_cents": 100}]}, "lines[0].quantity"),
    ({"ordered_at": "1066-10-14T09:00:00Z"}, "ordered_at"),
    ({"ordered_at": "2011-06-16T12:00:00.000001Z"}, "ordered_at"),
    ({"ordered_at": "2011-06-15T12:00:00"}, "ordered_at"),
    ({"ordered_at": "yesterday"}, "ordered_at"),
]


@pytest.mark.parametrize(("changed", "field"), BAD, ids=[f"{f}-{i}" for i, (_, f) in enumerate(BAD)])
def test_bad_input_names_the_field(client, changed, field):
    response = client.post("/v1/score", json=shop.order(**changed))
    problem = response.json()
    assert response.status_code == 422
    assert response.headers["content-type"].startswith("application/problem+json")
    assert [e["field"] for e in problem["errors"]] == [field]
    assert problem["status"] == 422
    assert problem["instance"] == "/v1/score"
    assert problem["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[1]", b"null", b'"text"'])
def test_a_body_that_is_no_order_is_refused(client, body):
    response = client.post("/v1/score", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.headers["content-type"].startswith("application/problem+json")
    assert response.json()["detail"]


def test_a_huge_body_is_refused(client):
    response = client.post("/v1/score", content=b" " * (2 << 20), headers={"content-type": "application/json"})
    assert response.status_code == 413


def test_other_paths_and_methods_are_problems_too(client):
    assert client.get("/nowhere").json()["status"] == 404
    assert client.get("/v1/score").status_code == 405


def test_ordered_at_within_a_day_is_taken(client):
    response = client.post("/v1/score", json=shop.order(ordered_at="2011-06-15T13:30:00+02:00"))
    assert response.status_code == 200
    assert response.json()["requested_at"] == "2011-06-15T12:00:00Z"


def test_openapi(client):
    schema = client.get("/schema/openapi.json").json()
    customers = ["/v1/customers/{customer_id}/features", "/v1/customers/{customer_id}/risk"]
    versioned = [*customers, "/v1/events", "/v1/score"]
    assert sorted(schema["paths"]) == ["/health/live", "/health/ready", *versioned]
    quantity = schema["components"]["schemas"]["OrderLine"]["properties"]["quantity"]
    assert quantity["minimum"] == 1
