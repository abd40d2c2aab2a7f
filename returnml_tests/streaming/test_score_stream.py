"""Scores on their way to a topic: from the service as it answers, from its log, and a day of ``scores.daily``."""

import re
import sys
from contextlib import contextmanager
from datetime import date

import msgspec
import pytest
from litestar.testing import TestClient
from typer.testing import CliRunner

from returnml.cli import app as cli
from returnml.clock import VirtualClock
from returnml.ledger.answer_records import read_day
from returnml.settings import DataPaths
from returnml.streaming.client import StreamingError
from returnml.streaming.score_stream import (
    ScoredOrder,
    from_log,
    publish,
)
from returnml.tasks import CHECKOUT
from returnml.tasks.registry import task_named
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.scores.score_messages import daily_scores
from returnml.warehouse.tables import ensure_tables
from returnml_tests.roots import rooted
from returnml_tests.serving import shop
from returnml_tests.streaming.mock_kafka import PRODUCE
from returnml_tests.streaming.stream_shop import settings
from returnml_tests.waiting import PATIENCE_SECONDS, eventually
from serving.app import create_app

TOPIC = "scores"
DAY = date(2011, 6, 15)


@pytest.fixture
def shop_data(data, kafka):
    shop.deploy(data)
    kafka.create_topic(TOPIC)
    return data


@contextmanager
def service(data, servers, **changed):
    chosen = settings(data, servers, scores_topic=TOPIC, **changed)
    with TestClient(create_app(chosen, VirtualClock(shop.now_us())), raise_server_exceptions=False) as client:
        yield client


def scored(client, **changed):
    response = client.post("/v1/score", json=shop.order(**changed))
    assert response.status_code == 200, response.text
    return response.json()


def ready(client):
    return client.get("/health/ready").json()


def metric(client, name):
    return int(re.search(rf'^returnml_score_stream_{name}{{worker="\w*"}} (\d+)$', client.get("/metrics").text, re.M)[1])


def test_every_answer_is_sent_and_can_be_made_again_from_the_log(shop_data, kafka):
    with service(shop_data, kafka.servers) as client:
        answers = [scored(client), scored(client, order_id="o10")]
        assert client.post("/v1/score", json=shop.order(lines=[])).status_code == 422
        eventually(lambda: ready(client)["score_stream"]["delivered"] == 2)
        state = ready(client)
        assert state["score_stream"] == {"topic": TOPIC, "delivered": 2, "dropped": 0, "waiting": 0, "failure": None}
        assert state["warnings"] == []
        assert [metric(client, n) for n in ("delivered_total", "dropped_total", "waiting")] == [2, 0, 0]
    sent = kafka.read(TOPIC, 2)
    assert [m.key() for m in sent] == [b"o9", b"o10"]
    for answer, message in zip(answers, sent, strict=True):
        told = msgspec.json.decode(message.value())
        assert told["lines"] == answer["lines"]
        same = ("request_id", "order_id", "requested_at", "release", "feature_set_hash", "currency")
        assert [told[n] for n in same] == [answer[n] for n in same]
        assert (told["generation"], told["seq"]) == (answer["features"]["generation"], answer["features"]["seq"])
    logged = [msgspec.json.encode(from_log(a)) for a in read_day(DataPaths(shop_data).inference_log, DAY)]
    assert logged == [m.value() for m in sent]
    assert msgspec.json.decode(sent[0].value(), type=ScoredOrder).order_id == "o9"


def test_brokers_that_are_away_cost_no_request_and_what_finds_no_room_is_counted(shop_data, kafka, monkeypatch):
    monkeypatch.setattr("returnml.streaming.score_stream.DELIVERY_SECONDS", PATIENCE_SECONDS)
    kafka.take_down()
    with service(shop_data, kafka.servers, scores_waiting=2) as client:
        for number in range(5):
            scored(client, order_id=f"o{number}")
        state = ready(client)
        assert (state["score_stream"]["waiting"], state["score_stream"]["dropped"]) == (2, 3)
        assert "score stream: 3 answers were not delivered" in state["warnings"]
        assert (metric(client, "dropped_total"), metric(client, "waiting")) == (3, 2)
        eventually(lambda: ready(client)["score_stream"]["failure"])
        kafka.bring_up()
        eventually(lambda: ready(client)["score_stream"]["delivered"] == 2)
        # What an old connection says late is taken back by the next delivery.
        eventually(lambda: scored(client) and ready(client)["score_stream"]["failure"] is None)
    assert [m.key() for m in kafka.read(TOPIC, 2)] == [b"o0", b"o1"]


def test_what_no_broker_takes_in_time_is_counted(shop_data, kafka):
    kafka.fail(PRODUCE, 29)
    with service(shop_data, kafka.servers) as client:
        scored(client)
        eventually(lambda: ready(client)["score_stream"]["dropped"] == 1)
        state = ready(client)
        assert (state["score_stream"]["waiting"], state["score_stream"]["delivered"]) == (0, 0)
        assert "score stream: " in state["score_stream"]["failure"]


def test_what_waits_at_the_end_is_still_sent(shop_data, kafka, monkeypatch):
    monkeypatch.setattr("returnml.streaming.score_stream.CLOSE_SECONDS", PATIENCE_SECONDS)
    with service(shop_data, kafka.servers, options={"linger.ms": 50_000}) as client:
        scored(client)
        assert ready(client)["score_stream"]["waiting"] == 1
    assert [m.key() for m in kafka.read(TOPIC, 1)] == [b"o9"]


@pytest.mark.parametrize("cause", ["option", "library"])
def test_a_stream_that_cannot_be_made_is_shown_and_scores_go_on(shop_data, kafka, monkeypatch, cause):
    if cause == "library":
        monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    options = {"no.such.option": 1} if cause == "option" else {}
    with service(shop_data, kafka.servers, options=options) as client:
        scored(client)
        state = ready(client)
    assert state["score_stream"]["dropped"] == 1
    assert ("no.such.option" if cause == "option" else "pip install") in state["score_stream"]["failure"]
    assert state["score_stream"]["failure"] in state["warnings"]


def test_without_a_topic_there_is_no_stream(shop_data, kafka):
    chosen = settings(shop_data, kafka.servers)
    with TestClient(create_app(chosen, VirtualClock(shop.now_us()))) as client:
        scored(client)
        assert ready(client)["score_stream"] is None
        assert "score_stream" not in client.get("/metrics").text


@pytest.fixture
def tables(data):
    """Two lines of the day, and one of the day after, in the copy for readers."""
    path = DataPaths(rooted(data)).published
    path.parent.mkdir(parents=True, exist_ok=True)
    con = open_warehouse(path)
    task = task_named(CHECKOUT)
    ensure_tables(con, {task.score_table: task.score_table_columns()})
    for day, line, probability in ((DAY, "l2", 0.25), (DAY, "l1", 0.5), (date(2011, 6, 16), "l3", 0.75)):
        values = [day, line, "o", "c", "a", f"{day} 09:00:00", probability, 7, 100, "EUR", "r", "h", "nudge", False, "p", False]
        con.execute(f"INSERT INTO scores.daily VALUES ({', '.join('?' * len(values))})", values)
    con.close()
    return data


def command(monkeypatch, kafka, data, *words):
    monkeypatch.setenv("RETURNML_KAFKA__BOOTSTRAP_SERVERS", kafka.servers)
    return CliRunner().invoke(cli, ["publish-scores", "--data", str(data), *words])


def test_a_day_of_scores_sent_twice_is_the_same_twice(tables, kafka, monkeypatch):
    kafka.create_topic("returnml.daily_scores")
    for _ in range(2):
        done = command(monkeypatch, kafka, tables, "--day", "2011-06-15")
        assert (done.exit_code, done.stdout) == (0, "2 messages of 2011-06-15 in returnml.daily_scores\n"), done.output
    first, second, *again = kafka.read("returnml.daily_scores", 4)
    assert (first.key(), second.key()) == (b"l1", b"l2")
    assert msgspec.json.decode(first.value()) == {
        "day": "2011-06-15",
        "line_id": "l1",
        "order_id": "o",
        "requested_at": "2011-06-15T09:00:00Z",
        "release": "r",
        "feature_set_hash": "h",
        "probability": 0.5,
        "expected_cost_cents": 7,
        "action": "nudge",
        "is_explored": False,
        "currency": "EUR",
        "in_training": False,
    }
    assert [(m.key(), m.value()) for m in again] == [(m.key(), m.value()) for m in (first, second)]


def test_answers_that_were_dropped_are_sent_again_from_the_log(shop_data, kafka, monkeypatch):
    kafka.create_topic("again")
    kafka.take_down()
    with service(shop_data, kafka.servers, scores_waiting=1) as client:
        answers = [scored(client, order_id=f"o{n}") for n in range(3)]
        kafka.bring_up()
    done = command(monkeypatch, kafka, shop_data, "--day", "2011-06-15", "--answers", "--topic", "again", "--json")
    assert msgspec.json.decode(done.stdout) == {"day": "2011-06-15", "topic": "again", "messages": 3}
    sent = [msgspec.json.decode(m.value()) for m in kafka.read("again", 3)]
    assert [m["request_id"] for m in sent] == [a["request_id"] for a in answers]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--day", "2011-6-15"), "is no day YYYY-MM-DD"),
        (("--day", "2011-06-15"), "run the line first"),
        (("--day", "2011-06-15", "--answers"), "kafka.scores_topic is not set"),
    ],
)
def test_what_cannot_be_published_is_refused(kafka, tmp_path, monkeypatch, words, told):
    done = command(monkeypatch, kafka, rooted(tmp_path), *words)
    assert (done.exit_code, told in done.stderr) == (2, True), done.output


def test_a_message_that_is_not_delivered_is_an_error(tables, kafka):
    kafka.create_topic("t")
    kafka.fail(PRODUCE, *[29] * 10)
    con = open_warehouse(DataPaths(tables).published, read_only=True)
    with pytest.raises(StreamingError, match="topic t: "):
        publish(settings(tables, kafka.servers).kafka, "t", daily_scores(con, DAY))
    con.close()
