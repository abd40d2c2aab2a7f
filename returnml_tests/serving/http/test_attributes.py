"""The shop's own fields of a request: accepted where they are declared, refused elsewhere, and described."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.features.sets.attributed import order_line
from returnml.instants import day_of
from returnml.ledger.answer_records import read_day
from returnml.settings import Settings
from returnml.store.backend_choice import open_backend
from returnml.tasks.live_sets import live_feature_sets
from returnml.warehouse.ingest.schema import ensure_schema
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.serving import shop
from serving.app import create_app

DECLARED = {
    "customer": {"age_group": {"type": "category", "protected": True}},
    "order": {"channel": {"type": "category", "says": "where the order came from"}},
    "article": {"weight": {"type": "number", "decimals": 1}},
}


def settings_of(data: Path) -> Settings:
    own = msgspec.convert({"attributes": DECLARED}, Settings)
    return msgspec.structs.replace(shop.settings(data, "require"), attributes=own.attributes)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    settings = settings_of(tmp_path)
    own = settings.shop_attributes
    con = shop.warehouse()
    ensure_schema(con, own)
    publish_generation(con, live_feature_sets(own), shop.CUT_OFF_US, open_backend(settings))
    declared = order_line(own)
    shop.deploy(tmp_path, shop.graph(declared), feature_set=declared)
    with TestClient(create_app(settings, VirtualClock(shop.now_us()))) as found:
        yield found


def order(sent: dict | None = None, of_line: dict | None = None) -> dict:
    body = shop.order()
    if sent is not None:
        body["attributes"] = sent
    if of_line is not None:
        body["lines"][0]["attributes"] = of_line
    return body


def test_declared_fields_are_accepted_and_logged_unless_they_are_protected(client: TestClient, tmp_path: Path):
    sent = order({"order_channel": "app", "customer_age_group": "60+"}, {"article_weight": 1.5})
    answer = client.post("/v1/score", json=sent)
    assert answer.status_code == 200, answer.text
    [logged] = read_day(settings_of(tmp_path).paths.inference_log, day_of(shop.now_us()))
    assert logged.inputs["order_channel"] == ["app", "app"]
    assert logged.inputs["article_weight"] == [15, None]
    assert "customer_age_group" not in logged.inputs


@pytest.mark.parametrize(
    ("sent", "of_line", "field", "said"),
    [
        (
            {"order_chanel": "app"},
            None,
            "attributes.order_chanel",
            "no such attribute of an order is declared: customer_age_group",
        ),
        ({"article_weight": 1.0}, None, "attributes.article_weight", "no such attribute of an order"),
        (None, {"order_channel": "app"}, "lines[0].attributes.order_channel", "of a line is declared: article_weight"),
        (None, {"article_weight": "1.5"}, "lines[0].attributes.article_weight", "'1.5': expected a number"),
        (None, {"article_weight": 1.25}, "lines[0].attributes.article_weight", "expected at most 1 decimals"),
    ],
)
def test_other_fields_and_values_are_refused(client: TestClient, sent, of_line, field, said):
    refused = client.post("/v1/score", json=order(sent, of_line))
    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert error["field"] == field
    assert said in error["message"]
    event = {"type": "order", "event_id": "e", "occurred_at": "2011-06-15T11:00:00Z", **order(sent, of_line)}
    [answer] = client.post("/v1/events", json=[event]).json()["events"]
    assert (answer["status"], answer["field"]) == ("refused", field)


def test_an_event_with_a_declared_field_counts_by_it(client: TestClient, tmp_path: Path):
    event = {"type": "order", "event_id": "e", "occurred_at": "2011-06-15T11:00:00Z", **order({"order_channel": "app"})}
    assert client.post("/v1/events", json=[event]).json()["accepted"] == 1
    again = order({"order_channel": "app"}) | {"order_id": "o10"}
    answer = client.post("/v1/score", json=again)
    assert answer.status_code == 200, answer.text
    settings = settings_of(tmp_path)
    [logged] = read_day(settings.paths.inference_log, day_of(shop.now_us()))
    declared = order_line(settings.shop_attributes)
    matrix = np.frombuffer(logged.vectors, "<f4").reshape(2, -1)
    assert matrix[:, declared.outputs.index("order_channel_orders_count_30d")].tolist() == [2.0, 2.0]


def test_a_shop_that_declares_none_refuses_them(tmp_path: Path):
    shop.publish(tmp_path)
    shop.deploy(tmp_path)
    with TestClient(create_app(shop.settings(tmp_path, "require"), VirtualClock(shop.now_us()))) as client:
        refused = client.post("/v1/score", json=order({}))
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "attributes")
        assert client.post("/v1/score", json=order()).status_code == 200
        schemas = client.get("/schema/openapi.json").json()["components"]["schemas"]
    for name in ("Order", "OrderLine", "OrderPlaced", "PlacedLine"):
        assert "attributes" not in schemas[name]["properties"]


def test_the_document_names_each_field(client: TestClient):
    schemas = client.get("/schema/openapi.json").json()["components"]["schemas"]
    for name in ("Order", "OrderPlaced"):
        own = schemas[name]["properties"]["attributes"]
        assert own["additionalProperties"] is False
        assert own["properties"]["order_channel"] == {"description": "Where the order came from.", "type": ["string", "null"]}
        assert set(own["properties"]) == {"order_channel", "customer_age_group"}
    for name in ("OrderLine", "PlacedLine"):
        assert set(schemas[name]["properties"]["attributes"]["properties"]) == {"article_weight"}
