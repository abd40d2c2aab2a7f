"""``returnml consume`` and ``dead-letters``: what they print and refuse. What becomes of messages: ``streaming``."""

import json

import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml_tests.roots import rooted
from returnml_tests.serving import shop
from returnml_tests.streaming.mock_kafka import mock_kafka
from returnml_tests.streaming.stream_shop import TOPIC, placed


def run(*words):
    return CliRunner().invoke(app, list(words))


def test_it_says_what_it_took_in_and_where_the_rest_is(tmp_path, monkeypatch):
    shop.publish(rooted(tmp_path, "pseudonymise"))
    with mock_kafka() as kafka:
        kafka.create_topic(TOPIC)
        kafka.send(TOPIC, [placed(1), placed(1), placed(2, schema_version=7), b"\xffnonsense", None], key=b"k")
        monkeypatch.setenv("RETURNML_KAFKA__BOOTSTRAP_SERVERS", kafka.servers)
        done = run("consume", "--topic", TOPIC, "--group", "g", "--until-end", "--data", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "5 messages: 1 accepted, 1 duplicates, 1 refused, 2 dead letters",
        "what was no event: returnml dead-letters",
    ]
    lines = run("dead-letters", "--data", str(tmp_path)).stdout.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [[f"{TOPIC}/0@3", "malformed"], [f"{TOPIC}/0@4", "malformed"]]
    assert lines[0].endswith("\\xffnonsense")
    first, second = map(json.loads, run("dead-letters", "--json", "--data", str(tmp_path)).stdout.splitlines())
    assert (first["offset"], first["key"], first["value"]) == (3, "k", "\\xffnonsense")
    assert (second["offset"], second["value"]) == (4, None)


def test_there_may_be_no_dead_letters(tmp_path):
    done = run("dead-letters", "--data", str(rooted(tmp_path)))
    assert (done.exit_code, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "kafka.bootstrap_servers is not set"),
        ({"BOOTSTRAP_SERVERS": "localhost:1", "OPTIONS__NO_SUCH": "1"}, "no.such"),
        ({"BOOTSTRAP_SERVERS": "localhost:1", "DEAD_LETTER_TOPIC": "d", "OPTIONS__ACKS": "0"}, "acks is not for options"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, monkeypatch, variables, told):
    for name, value in variables.items():
        monkeypatch.setenv(f"RETURNML_KAFKA__{name}", value)
    done = run("consume", "--data", str(rooted(tmp_path)))
    assert (done.exit_code, told in done.stderr) == (2, True), done.output
