"""A bit that flips under a running service: it is found, said and counted, and nothing is answered from it until it is mended."""

from contextlib import contextmanager

import pytest
from litestar.testing import TestClient

from returnml.ledger.record_log import segments
from returnml.settings import DataPaths, StoreSettings
from returnml.store.backend_choice import open_backend
from returnml_tests.serving import shop
from returnml_tests.serving.intake.test_events import (
    placed,
    send,
)
from returnml_tests.store.proving.test_scrubbing import flip
from returnml_tests.waiting import eventually
from serving.app import create_app


class Ticking:
    """A millisecond later each time it is asked: a pass is always due."""

    def __init__(self):
        self.at_us = shop.now_us()

    def now_us(self):
        self.at_us += 1_000
        return self.at_us


@pytest.fixture
def data(tmp_path):
    data = tmp_path / "data"
    shop.publish(data)
    shop.deploy(data)
    return data


@contextmanager
def served(data):
    settings = shop.settings(data, store=StoreSettings(scrub_every_hours=1e-9))
    app = create_app(settings, Ticking(), reload_seconds=0.02, scrub_look_seconds=0.02)
    with TestClient(app, raise_server_exceptions=False) as client:
        eventually(lambda: score(client).status_code == 200)
        yield client


def score(client):
    return client.post("/v1/score", json=shop.order())


def findings(client):
    [line] = [line for line in client.get("/metrics").text.splitlines() if line.startswith("returnml_store_findings{")]
    return int(line.split()[-1])


def test_a_bit_of_the_mapped_generation(data):
    with served(data) as client:
        send(client, placed())
        before = score(client).json()["lines"]
        flip(DataPaths(data).store / open_backend(shop.settings(data)).published() / "data.mdb")
        eventually(lambda: client.get("/health/ready").status_code == 503)
        eventually(lambda: "returnml store publish" in score(client).json().get("detail", ""))
        assert score(client).status_code == 503
        assert client.post("/v1/events", json=placed("e3", "o10")).status_code == 503
        eventually(lambda: findings(client) == 1)
        shop.publish(data)
        eventually(lambda: score(client).status_code == 200)
        assert score(client).json()["lines"] == before
        eventually(lambda: findings(client) == 0)
        eventually(lambda: client.get("/health/ready").json().get("warnings") == [])


def test_a_bit_of_the_ledger(data):
    with served(data) as client:
        send(client, [placed(), placed("e3", "o10")])
        before = score(client).json()["lines"]
        [segment] = segments(DataPaths(data).ledger)
        whole = segment.read_bytes()
        with open(segment, "r+b") as opened:
            opened.seek(40)
            opened.write(b"!")
        eventually(lambda: findings(client) == 1)
        ready = client.get("/health/ready")
        assert ready.status_code == 200
        assert any(warning.startswith("ledger_damaged: ") for warning in ready.json()["warnings"])
        assert score(client).json()["lines"] == before
        assert client.post("/v1/events", json=placed("e4", "o11")).status_code == 503
        segment.write_bytes(whole)
        eventually(lambda: findings(client) == 0)
        assert send(client, placed("e4", "o11"))["accepted"] == 1
