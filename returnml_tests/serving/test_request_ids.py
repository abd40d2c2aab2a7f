"""Every answer carries the request's id, and so does what is logged of it; and the limits of a request."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.commands.service_log import JsonLines
from returnml.settings import LimitSettings
from returnml_tests.serving import shop
from serving.app import create_app


@pytest.fixture
def service(tmp_path: Path):
    shop.publish(tmp_path)
    shop.deploy(tmp_path)
    limits = LimitSettings(lines=2, body_bytes=2_000)
    app = create_app(shop.settings(tmp_path, limits=limits), VirtualClock(shop.now_us()))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_every_answer_carries_the_requests_id(service):
    for method, path, status in (
        ("GET", "/health/live", 200),
        ("GET", "/v1/customers/c1/risk", 503),
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/score", 405),
        ("POST", "/v1/score", 400),
    ):
        answer = service.request(method, path, headers={"X-Request-Id": "shop-1.a_B"})
        assert (path, answer.status_code, answer.headers["x-request-id"]) == (path, status, "shop-1.a_B")
        if status >= 400:
            assert answer.json()["request_id"] == "shop-1.a_B"


@pytest.mark.parametrize("given", ["", "a b", 'x"y', "x" * 129, "größe".encode()])
def test_an_unsafe_id_is_replaced(service, given):
    made = [service.get("/health/live", headers={"X-Request-Id": given}).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in made)


def test_a_score_is_called_as_in_the_inference_log_unless_the_caller_named_it(service):
    answer = service.post("/v1/score", json=shop.order())
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    given = [service.post("/v1/score", json=shop.order(), headers={"X-Request-Id": "again"}) for _ in range(2)]
    assert [one.headers["x-request-id"] for one in given] == ["again"] * 2
    assert len({"again", *(one.json()["request_id"] for one in given)}) == 3


def test_failures_are_logged_under_the_id_and_nothing_else_is(service, caplog, monkeypatch):
    caplog.set_level("INFO")
    assert service.post("/v1/score", json=shop.order()).status_code == 200
    assert service.post("/v1/score", json={}).status_code == 422
    assert [one for one in caplog.records if hasattr(one, "request_id")] == []
    refused = service.get("/v1/customers/secret-name/risk", headers={"X-Request-Id": "r1"})

    def broken(*_):
        raise RuntimeError("inside")

    monkeypatch.setattr("serving.state.ServingState.score", broken)
    failed = service.post("/v1/score", json=shop.order(), headers={"X-Request-Id": "r2"})
    assert (refused.status_code, failed.status_code) == (503, 500)
    said = [json.loads(JsonLines().format(one)) for one in caplog.records if hasattr(one, "request_id")]
    assert [(one["request_id"], one["status"], one["route"]) for one in said] == [
        ("r1", 503, "/v1/customers/{customer_id}/risk"),
        ("r2", 500, "/v1/score"),
    ]
    assert "RuntimeError: inside" in said[1]["exception"]
    assert "secret-name" not in json.dumps(said)


def test_limits_are_those_of_the_settings(service):
    line = {"article_id": "a1", "quantity": 1, "unit_price_cents": 1}
    order = shop.order(lines=[line | {"line_id": str(n)} for n in range(3)])
    answer = service.post("/v1/score", json=order)
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (422, "3 lines: at most 2")
    assert service.post("/v1/score", json=shop.order(country="x" * 2_000)).status_code == 413
