"""``EventConsumer`` against brokers that speak the real protocol: what becomes of messages, and of their offsets."""

from dataclasses import astuple

import msgspec
import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.ledger.record_log import read
from returnml.settings import DataPaths
from returnml.streaming.dead_letters import logged
from returnml_tests.serving import shop
from returnml_tests.streaming.mock_kafka import OFFSET_COMMIT, PRODUCE
from returnml_tests.streaming.stream_shop import (
    GROUP,
    TOPIC,
    consume,
    ids,
    inspected,
    ledger,
    placed,
    returned,
    settings,
)
from serving.app import create_app

pytestmark = pytest.mark.slow

FLOW = [
    placed(1),
    returned(1, "n1-1"),
    inspected(1, "back1"),
    placed(2),
    returned(2, "nowhere", refund_cents=-1),
    returned(3, "nowhere", customer_id="c1", article_id="a1"),
    placed(1),
]


def counts(consumer):
    """Messages, accepted, duplicates, refused, dead."""
    return astuple(consumer.taken)[:5]


def test_events_in_time_order_give_the_same_ledger_as_over_http(kafka, data, tmp_path):
    kafka.send(TOPIC, FLOW)
    assert counts(consume(settings(data, kafka.servers))) == (7, 5, 1, 1, 0)
    assert kafka.committed(GROUP, TOPIC) == 7
    other = tmp_path / "http"
    shop.publish(other)
    with TestClient(create_app(shop.settings(other), VirtualClock(shop.now_us()))) as client:
        response = client.post("/v1/events", content=b"[" + b",".join(FLOW) + b"]")
    assert [e["status"] for e in response.json()["events"]] == ["accepted"] * 4 + ["refused", "accepted", "duplicate"]
    assert list(read(DataPaths(data).ledger)) == list(read(DataPaths(other).ledger)) != []


def test_a_service_beside_it_sees_the_events_at_once(kafka, data):
    shop.deploy(data)
    with TestClient(create_app(shop.settings(data), VirtualClock(shop.now_us()))) as client:
        before = client.post("/v1/score", json=shop.order()).json()
        kafka.send(TOPIC, [placed(1)])
        consume(settings(data, kafka.servers))
        after = client.post("/v1/score", json=shop.order()).json()
    assert (before["features"]["seq"], after["features"]["seq"]) == (0, 1)
    assert [a["lines"][0]["probability"] for a in (before, after)] == [pytest.approx(5 / 13), pytest.approx(6 / 14)]


def test_the_next_consumer_goes_on_where_the_one_before_committed(kafka, data):
    chosen = settings(data, kafka.servers, batch_size=2)
    kafka.send(TOPIC, [placed(n) for n in range(5)])
    assert counts(consume(chosen)) == (5, 5, 0, 0, 0)
    kafka.send(TOPIC, [placed(n) for n in range(5, 8)])
    assert counts(consume(chosen)) == (3, 3, 0, 0, 0)
    assert ids(data) == [f"e{n}" for n in range(8)]


def test_what_was_not_committed_comes_again_and_changes_nothing(kafka, data):
    kafka.send(TOPIC, [*FLOW, b"{"])
    kafka.fail(OFFSET_COMMIT, *[29] * 100)  # TOPIC_AUTHORIZATION_FAILED: not tried again by the client
    chosen = settings(data, kafka.servers)
    first = consume(chosen)
    assert counts(first) == (8, 5, 1, 1, 1)
    assert "offsets are not committed" in first.taken.trouble
    assert kafka.committed(GROUP, TOPIC) < 0
    kafka.stop_failing(OFFSET_COMMIT)
    before = list(read(DataPaths(data).ledger))
    assert counts(consume(chosen)) == (8, 0, 6, 1, 1)
    assert list(read(DataPaths(data).ledger)) == before
    assert kafka.committed(GROUP, TOPIC) == 8
    assert [letter.offset for letter in logged(chosen.paths.dead_letters)] == [7]


BAD = [
    (b"{", "malformed", "$"),
    (b"", "malformed", "$"),
    (None, "malformed", "$"),
    (b"\xff\x00", "malformed", "$"),
    (b"[" + placed(9) + b"]", "malformed", "$"),
    (b"[" * 100_000, "malformed", "$"),
    (placed(9, lines=[]), "malformed", "lines"),
    (placed(9, colour="red"), "malformed", "colour"),
    (placed(9, schema_version=2, colour="red"), "unknown_schema_version", "schema_version"),
    (b'{"type": "parcel", "schema_version": 3}', "unknown_schema_version", "schema_version"),
]


def test_messages_that_are_no_events_are_kept_in_the_log_and_block_nothing(kafka, data):
    kafka.send(TOPIC, [placed(1), *(value for value, _, _ in BAD), placed(2)], key=b"k")
    chosen = settings(data, kafka.servers, batch_size=4)
    assert counts(consume(chosen)) == (12, 2, 0, 0, 10)
    assert kafka.committed(GROUP, TOPIC) == 12
    assert ids(data) == ["e1", "e2"]
    kept = list(logged(chosen.paths.dead_letters))
    assert [(k.topic, k.partition, k.offset) for k in kept] == [(TOPIC, 0, n) for n in range(1, 11)]
    assert [(k.value, k.rule, k.field) for k in kept] == BAD
    assert {k.key for k in kept} == {b"k"}
    assert all(k.message for k in kept)


def test_a_message_with_the_id_of_another_event_is_a_dead_letter(kafka, data):
    other = placed(2, event_id="e1")
    kafka.send(TOPIC, [placed(1), other, placed(1), placed(3)])
    chosen = settings(data, kafka.servers)
    assert counts(consume(chosen)) == (4, 2, 1, 0, 1)
    [kept] = logged(chosen.paths.dead_letters)
    assert (kept.offset, kept.rule, kept.field, kept.value) == (1, "conflict", "event_id", other)
    assert ids(data) == ["e1", "e3"]


def test_a_correction_under_the_same_event_id_is_a_dead_letter_and_counted(kafka, data):
    corrected = placed(1, country="AT")
    kafka.send(TOPIC, [placed(1), corrected])
    chosen = settings(data, kafka.servers)
    done = consume(chosen)
    assert (counts(done), done.taken.conflicts) == ((2, 1, 0, 0, 1), 1)
    [kept] = logged(chosen.paths.dead_letters)
    assert (kept.rule, kept.value, "other content" in kept.message) == ("conflict", corrected, True)


def test_messages_that_are_no_events_go_to_the_dead_letter_topic(kafka, data):
    kafka.create_topic("dead")
    kafka.send(TOPIC, [placed(1), b"{", None], key=b"k")
    chosen = settings(data, kafka.servers, dead_letter_topic="dead")
    assert counts(consume(chosen)) == (3, 1, 0, 0, 2)
    first, second = kafka.read("dead", 2)
    assert (first.key(), first.value(), second.value()) == (b"k", b"{", None)
    headers = dict(first.headers())
    assert headers.pop("message").startswith(b"no JSON: ")
    assert headers == {"topic": b"events", "partition": b"0", "offset": b"1", "rule": b"malformed", "field": b"$"}
    assert not chosen.paths.dead_letters.exists()


def test_nothing_is_committed_before_the_dead_letter_topic_has_it(kafka, data, monkeypatch):
    kafka.create_topic("dead")
    kafka.send(TOPIC, [b"{", placed(1)])
    kafka.fail(PRODUCE, 29, 29)
    committed = []
    chosen = settings(data, kafka.servers, dead_letter_topic="dead")
    monkeypatch.setattr(
        "returnml.streaming.consumer.EventConsumer._wait",
        lambda *_: committed.append((kafka.committed(GROUP, TOPIC), tuple(ids(data)))),
    )
    found = consume(chosen)
    assert set(committed) == {(-1001, ())}
    assert (counts(found), found.taken.waits, found.taken.trouble) == ((2, 1, 0, 0, 1), len(committed), None)
    assert kafka.committed(GROUP, TOPIC) == 2
    assert [m.value() for m in kafka.read("dead", 1)] == [b"{"]


def test_what_the_dead_letter_topic_refuses_for_good_goes_to_the_log(kafka, data):
    kafka.create_topic("dead")
    kafka.send(TOPIC, [b"x" * 5_000, b"{", placed(1)])
    options = {"message.max.bytes": 2_000}
    chosen = settings(data, kafka.servers, dead_letter_topic="dead", options=options)
    assert counts(consume(chosen)) == (3, 1, 0, 0, 2)
    assert [m.value() for m in kafka.read("dead", 1)] == [b"{"]
    assert [(k.offset, len(k.value)) for k in logged(chosen.paths.dead_letters)] == [(0, 5_000)]


def test_a_well_formed_event_of_another_version_is_refused_and_kept_in_the_ledger(kafka, data):
    kafka.send(TOPIC, [placed(1, schema_version=2), placed(2)])
    assert counts(consume(settings(data, kafka.servers))) == (2, 1, 0, 1, 0)
    assert [j.verdict.rule for j in ledger(data)] == ["unknown_schema_version", None]


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_batches_of_any_size_give_the_same_ledger(kafka, data, batch_size):
    kafka.send(TOPIC, [placed(n) for n in range(7)])
    assert counts(consume(settings(data, kafka.servers, batch_size=batch_size))) == (7, 7, 0, 0, 0)
    assert ids(data) == [f"e{n}" for n in range(7)]
    assert msgspec.json.decode(placed(3))["order_id"] == ledger(data)[3].event.order_id
