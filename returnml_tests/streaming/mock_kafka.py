"""A Kafka cluster inside the test process: librdkafka's mock brokers, which speak the real protocol over real sockets.

The Python client offers them only as the setting ``test.mock.num.brokers``; to create topics with partitions, to take a
broker down and to let requests fail, the library that it has loaded is called directly.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import confluent_kafka
from confluent_kafka import Consumer, Message, Producer, TopicPartition

PRODUCE, FETCH, OFFSET_COMMIT = 0, 1, 8
"""Requests of the protocol."""


@cache
def _librdkafka() -> ctypes.CDLL:
    confluent_kafka.libversion()
    loaded = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "librdkafka" in line}
    library = ctypes.CDLL(loaded.pop())
    library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_destroy.argtypes = [ctypes.c_void_p]
    library.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_destroy.argtypes = [ctypes.c_void_p]
    library.rd_kafka_mock_cluster_bootstraps.argtypes = [ctypes.c_void_p]
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    library.rd_kafka_mock_topic_create.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
    library.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    library.rd_kafka_mock_broker_set_down.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    library.rd_kafka_mock_broker_set_up.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    library.rd_kafka_mock_clear_request_errors.argtypes = [ctypes.c_void_p, ctypes.c_int16]
    library.rd_kafka_mock_push_request_errors_array.argtypes = [
        ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)
    ]  # fmt: skip
    return library


class MockKafka:
    """Mock brokers, and what a shop or a reader does with them."""

    def __init__(self, handle: int, brokers: int) -> None:
        self._library = _librdkafka()
        self._cluster = self._library.rd_kafka_mock_cluster_new(handle, brokers)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 100)
        self.brokers = brokers
        self.servers = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create_topic(self, name: str, partitions: int = 1) -> None:
        assert self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1) == 0

    def fail(self, request: int, *errors: int) -> None:
        """The next requests of this kind are answered with these errors."""
        array = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, request, len(errors), array)

    def stop_failing(self, request: int) -> None:
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, request)

    def take_down(self) -> None:
        for broker in range(1, self.brokers + 1):
            assert self._library.rd_kafka_mock_broker_set_down(self._cluster, broker) == 0

    def bring_up(self) -> None:
        for broker in range(1, self.brokers + 1):
            assert self._library.rd_kafka_mock_broker_set_up(self._cluster, broker) == 0

    def send(self, topic: str, values: Sequence[bytes | None], partition: int = 0, key: bytes | None = None) -> None:
        """After the return they are in the topic, in this order."""
        # A mock partition forgets its oldest messages beyond 5 MB, and answers a fetch with what was produced at once:
        # ``flush`` ends the lingering, so that these are one such set on a slow machine, too.
        producer = Producer({"bootstrap.servers": self.servers, "compression.type": "lz4", "linger.ms": 60_000})
        for value in values:
            producer.produce(topic, value, key, partition)
        assert producer.flush(120) == 0

    def read(self, topic: str, count: int, partition: int = 0) -> list[Message]:
        """The first messages of a partition; fails if there are fewer."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "reader", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, partition, 0)])
        found: list[Message] = []
        try:
            while len(found) < count:
                message = consumer.poll(120)
                assert message is not None, f"{len(found)} of {count} messages in {topic}"
                if message.error() is None:
                    found.append(message)
        finally:
            consumer.close()
        return found

    def committed(self, group: str, topic: str, partition: int = 0) -> int:
        """The committed offset; negative before there is one."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group})
        try:
            return consumer.committed([TopicPartition(topic, partition)], timeout=120)[0].offset
        finally:
            consumer.close()

    def close(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)


@contextmanager
def mock_kafka(brokers: int = 1) -> Iterator[MockKafka]:
    library = _librdkafka()
    handle = library.rd_kafka_new(0, None, None, ctypes.c_size_t(0))
    kafka = MockKafka(handle, brokers)
    try:
        yield kafka
    finally:
        kafka.close()
        library.rd_kafka_destroy(handle)
