"""What is wrong with the settings is said before anything is read."""

import sys
from contextlib import closing
from functools import partial

import pytest

from returnml.settings import KafkaSettings
from returnml.streaming.client import StreamingError, consumer, logger, producer
from returnml_tests.waiting import eventually


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bootstrap_servers": ""}, "bootstrap_servers is not set"),
        ({"options": {"enable.auto.commit": True}}, "enable.auto.commit is not for options to change"),
        ({"options": {"enable_auto_offset_store": True}}, "enable.auto.offset.store is not for options to change"),
        ({"options": {"acks": 0}}, "acks is not for options to change"),
        ({"options": {"sesion.timeout.ms": 1}}, "sesion.timeout.ms"),
        ({"options": {"session.timeout.ms": "soon"}}, "session.timeout.ms"),
    ],
)
@pytest.mark.parametrize("make", [partial(consumer, committed=print), producer])
def test_settings_that_cannot_be(make, changed, message):
    settings = KafkaSettings(**({"bootstrap_servers": "localhost:1"} | changed))
    with pytest.raises(StreamingError, match=message):
        make(settings, lambda _: None)


def test_without_the_extra_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(StreamingError, match=r"pip install 'returnml\[kafka\]'"):
        consumer(KafkaSettings(bootstrap_servers="localhost:1"), lambda _: None, print)


def test_attempts_to_reach_brokers_that_are_away_fill_no_log(caplog):
    told = []
    with closing(consumer(KafkaSettings(bootstrap_servers="127.0.0.1:1"), told.append, print)) as client:
        client.subscribe(["events"])
        eventually(lambda: client.poll(0.1) or len(told) > 5)
    assert "Connection refused" in " ".join(told)
    assert [record for record in caplog.records if "Connection refused" in record.getMessage()] == []
    logger.warning("%s [%s] %s", "MAXPOLL", "rdkafka#consumer-1", "too slow")
    assert "MAXPOLL [rdkafka#consumer-1] too slow" in caplog.messages
