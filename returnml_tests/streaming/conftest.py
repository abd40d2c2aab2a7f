import pytest

from returnml_tests.serving import shop
from returnml_tests.streaming.mock_kafka import mock_kafka
from returnml_tests.streaming.stream_shop import TOPIC


@pytest.fixture
def kafka():
    with mock_kafka() as brokers:
        brokers.create_topic(TOPIC)
        yield brokers


@pytest.fixture
def data(tmp_path):
    data = tmp_path / "data"
    shop.publish(data)
    return data
