"""The OpenAPI document of ``POST /v1/events`` says what the route does: its examples are sent, its schemas compared."""

import re
from datetime import datetime, timedelta

import msgspec
import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml_tests.serving import shop
from serving.app import create_app
from serving.http import event_examples as shown


@pytest.fixture
def client(tmp_path):
    data = tmp_path / "data"
    shop.publish(data)
    with TestClient(create_app(shop.settings(data), VirtualClock(shop.now_us()))) as client:
        yield client


@pytest.fixture
def document(client):
    return client.get("/schema/openapi.json").json()


def resolved(document, schema):
    """A schema with its references replaced."""
    if isinstance(schema, list):
        return [resolved(document, part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return resolved(document, target)
    return {name: resolved(document, part) for name, part in schema.items() if name != "discriminator"}


def test_the_body_is_one_event_of_any_type_or_an_array(document):
    content = document["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]
    one, several = resolved(document, content["schema"]["oneOf"])
    assert several["items"] == one
    events = {e["properties"]["type"]["enum"][0]: e for e in one["anyOf"]}
    assert events.keys() == {"order", "return", "inspection"}
    assert set(events["order"]["required"]) == {
        "type", "event_id", "occurred_at", "order_id", "customer_id", "currency", "lines"
    }  # fmt: skip
    line = events["order"]["properties"]["lines"]["items"]
    assert set(line["required"]) == {"line_id", "article_id", "quantity", "unit_price_cents"}
    assert not any(e["additionalProperties"] for e in events.values())
    names = document["components"]["schemas"]["Event"]["discriminator"]["mapping"]
    assert resolved(document, {"$ref": names["return"]}) == events["return"]
    # Those of POST /v1/score keep theirs.
    scored = document["components"]["schemas"]["OrderLine"]["properties"]["quantity"]
    assert scored["exclusiveMaximum"] == 1 << 24


def test_the_examples_are_answered_as_they_say(client, document):
    content = document["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]
    examples = {name: example["value"] for name, example in content["examples"].items()}
    assert client.post("/v1/events", json=examples["batch"]).json() == shown.BATCH_ANSWER
    for name in ("order", "return", "inspection"):
        answer = client.post("/v1/events", json=examples[name]).json()
        assert (name, answer["duplicates"]) == (name, 1)


def documented(document, status):
    answer = document["paths"]["/v1/events"]["post"]["responses"][str(status)]
    [(media_type, content)] = answer["content"].items()
    [example] = content["examples"].values()
    return media_type, example["value"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (202, msgspec.json.encode(shown.REQUESTS["batch"][1])),
        (400, b"{"),
        (413, b" " * ((16 << 20) + 1)),
        (422, b"[" + b",".join([b"1"] * 10_001) + b"]"),
    ],
)
def test_each_status_is_answered_as_its_example_says(client, document, status, body):
    response = client.post("/v1/events", content=body, headers={"X-Request-Id": shown.REQUEST_ID})
    assert response.status_code == status
    assert (response.headers["content-type"], response.json()) == documented(document, status)


def test_unavailable_is_answered_as_its_example_says(client, document, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("returnml.ledger.record_log.os.fsync", full)
    response = client.post("/v1/events", json=shown.ORDER, headers={"X-Request-Id": shown.REQUEST_ID})
    assert (response.headers["content-type"], response.json()) == documented(document, 503)
    header = document["paths"]["/v1/events"]["post"]["responses"]["503"]["headers"]["Retry-After"]
    assert header["schema"] == {"type": "integer"}
    assert int(response.headers["retry-after"]) > 0


def test_the_pages_are_served(client):
    for page in ("/schema", "/schema/swagger"):
        response = client.get(page)
        assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "returnml" in response.text
        files = re.findall(r"""(?:src|href)=["']([^"']+)""", response.text)
        assert len(files) >= 3
        # On this host, every one: the page must not be empty behind a closed network.
        assert {client.get(file).status_code for file in files} == {200}
        assert not [file for file in files if not file.startswith("/")]
    assert client.get("/schema/openapi.yaml").status_code == 200


def test_the_examples_fit_the_shop_clock():
    now = datetime.fromisoformat("1970-01-01T00:00:00Z") + timedelta(microseconds=shop.now_us())
    assert all(datetime.fromisoformat(e["occurred_at"]) <= now for e in (shown.ORDER, shown.RETURN, shown.INSPECTION))
