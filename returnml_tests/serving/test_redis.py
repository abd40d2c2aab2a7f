"""The service on a Redis server that is killed, hangs, forgets and comes back: the service itself is never restarted."""

import re

import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.store.redis.server import RedisServer
from returnml_tests.roots import same_root
from returnml_tests.serving import shop
from returnml_tests.serving.intake.test_events import (
    evidence,
    placed,
    send,
)
from returnml_tests.waiting import eventually
from serving.app import create_app


@pytest.fixture
def data(tmp_path, redis):
    data = tmp_path / "data"
    shop.publish(data, store=redis.settings)
    shop.deploy(data)
    redis.command("SAVE")
    yield data
    redis.kill()
    redis.start()


def service(data, redis, stale="refuse"):
    settings = shop.settings(data, store=redis.settings, stale_features=stale)
    return TestClient(create_app(settings, VirtualClock(shop.now_us()), reload_seconds=0.05), raise_server_exceptions=False)


def ask(client):
    return client.post("/v1/score", json=shop.order())


def assert_unavailable(response, why="not available"):
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert why in response.json()["detail"]


def test_without_the_server_all_is_503_until_it_is_back(data, redis):
    with service(data, redis) as client:
        assert evidence(client) == (2 + 3, 0)
        redis.kill()
        assert_unavailable(ask(client))
        assert_unavailable(client.post("/v1/events", json=placed()))
        assert_unavailable(client.get("/health/ready"))
        assert_unavailable(client.get("/v1/customers/c1/features"))
        assert client.get("/health/live").status_code == 200
        redis.start()
        eventually(lambda: ask(client).status_code == 200)
        eventually(lambda: client.get("/health/ready").json().get("warnings") == [])
        assert send(client, placed())["accepted"] == 1
        assert evidence(client) == (2 + 4, 1)


def test_stale_features_if_allowed_are_marked_counted_and_said(data, redis):
    with service(data, redis, stale="allow") as client:
        send(client, placed())
        assert ask(client).json()["features"]["stale"] is False
        redis.kill()
        answer = ask(client).json()
        # As of the generation in this host's folder: the event is not in it.
        assert (answer["features"]["stale"], answer["features"]["seq"], evidence(client)) == (True, 0, (2 + 3, 0))
        ready = client.get("/health/ready").json()
        assert ready["features"]["stale"]
        assert any("features are stale" in warning for warning in ready["warnings"])
        assert re.search(r'returnml_stale_answers_total\{worker="\w*"\} 2', client.get("/metrics").text)
        assert_unavailable(client.post("/v1/events", json=placed("e3", "o10")))
        redis.start()
        eventually(lambda: ask(client).json()["features"] == {**answer["features"], "seq": 1, "stale": False})
        assert evidence(client) == (2 + 4, 1)


def test_stale_features_need_a_generation_on_this_host(data, redis, tmp_path):
    other = same_root(tmp_path / "other", data)
    shop.deploy(other)
    with service(other, redis, stale="allow") as client:
        assert evidence(client) == (2 + 3, 0)
        redis.kill()
        assert_unavailable(ask(client))


def test_another_host_scores_what_this_one_took_in(data, redis, tmp_path):
    other = same_root(tmp_path / "other", data)
    shop.deploy(other)
    with service(data, redis) as intake, service(other, redis) as scoring:
        send(intake, placed())
        assert evidence(scoring) == (2 + 4, 1)
        response = scoring.post("/v1/events", json=placed("e3", "o10"))
        assert_unavailable(response, "segment 1 is missing")
        assert evidence(intake) == (2 + 4, 1)


def test_a_server_that_lost_its_last_writes_is_caught_up_without_another_event(data, redis):
    with service(data, redis) as client:
        send(client, [placed(), placed("e3", "o10")])
        redis.kill()
        redis.start()
        eventually(lambda: ask(client).status_code == 200)
        eventually(lambda: evidence(client) == (2 + 5, 2))
        assert send(client, placed())["duplicates"] == 1


def test_a_server_that_lost_everything_is_filled_again_by_publishing(data, redis):
    with service(data, redis) as client:
        send(client, placed())
        redis.command("FLUSHALL")
        assert_unavailable(client.post("/v1/events", json=placed("e3", "o10")), "no generation is published")
        shop.publish(data, store=redis.settings)
        eventually(lambda: ask(client).status_code == 200)
        assert evidence(client) == (2 + 4, 1)
        assert send(client, placed())["duplicates"] == 1


def test_a_server_that_hangs_holds_up_one_request_and_not_for_long(data, redis, monkeypatch):
    monkeypatch.setattr("returnml.store.redis.server.READ_SECONDS", 1.0)
    exchange, waited = RedisServer._ask, []

    def counted(*of):
        waited.append(of)
        return exchange(*of)

    with service(data, redis) as client:
        eventually(lambda: ask(client).status_code == 200)
        redis.hang()
        monkeypatch.setattr(RedisServer, "_ask", counted)
        for _ in range(20):
            assert_unavailable(ask(client))
        assert len(waited) == 1
        redis.go_on()
        eventually(lambda: ask(client).status_code == 200)


@pytest.mark.parametrize("stale", ["refuse", "allow"])
def test_it_may_start_before_the_server(data, redis, stale):
    redis.kill()
    with service(data, redis, stale) as client:
        if stale == "refuse":
            assert_unavailable(client.get("/health/ready"))
        else:
            assert ask(client).json()["features"]["stale"]
        redis.start()
        eventually(lambda: ask(client).status_code == 200 and not ask(client).json()["features"]["stale"])
