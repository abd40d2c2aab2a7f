"""Scores as messages: what the service answered, sent while it goes on answering, or sent again from its log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec

from returnml.instants import instant
from returnml.ledger.answer_records import Answer
from returnml.settings import KafkaSettings
from returnml.streaming.client import StreamingError, library, producer

logger = logging.getLogger(__name__)

DELIVERY_SECONDS = 60
"""After which a message that no broker took is given up."""
CLOSE_SECONDS = 5.0
POLL_SECONDS = 0.1
MAX_WAITING_KBYTES = 64 << 10


class ScoredLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line's answer: that it comes back, what that is expected to cost (minor units), and what to do."""

    line_id: str
    probability: float
    expected_cost_cents: int
    action: str
    is_explored: bool


class ScoredOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as a message; its key is ``order_id``, and ``request_id`` tells a second delivery."""

    request_id: str
    order_id: str
    requested_at: datetime
    release: str
    feature_set_hash: str
    generation: str
    seq: int
    is_stale: bool
    currency: str
    lines: list[ScoredLine]


Message = tuple[str, bytes]
"""Key and value."""

encode = msgspec.json.Encoder().encode


def message(scored: ScoredOrder) -> Message:
    """An answer's key and value."""
    return scored.order_id, encode(scored)


def from_log(answer: Answer) -> ScoredOrder:
    """The very message that the service sent, or dropped, when it gave this answer."""
    lines = zip(
        answer.inputs["line_id"],
        answer.probability,
        answer.expected_cost_cents,
        answer.action,
        answer.is_explored,
        strict=True,
    )
    return ScoredOrder(
        request_id=answer.request_id,
        order_id=answer.order_id,
        requested_at=instant(answer.requested_at_us),
        release=answer.release,
        feature_set_hash=answer.feature_set_hash,
        generation=answer.generation,
        seq=answer.mark,
        is_stale=answer.is_stale,
        currency=answer.currency,
        lines=[
            ScoredLine(
                line_id=line_id, probability=probability, expected_cost_cents=cost_cents, action=action, is_explored=is_explored
            )
            for line_id, probability, cost_cents, action, is_explored in lines
        ],
    )


class StreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's stream of scores since its start, in messages.

    Attributes:
        delivered: the brokers have them.
        dropped: found no room, or no broker took them in time; the inference log has them.
        failure: what is wrong now; null when nothing is.
    """

    topic: str
    delivered: int
    dropped: int
    waiting: int
    failure: str | None


class ScoreStream:
    """Sends scores from a thread of the client library while ``running``. ``send`` never waits and never fails.

    ``send`` belongs to the event loop, what follows a delivery to the polling thread. Each counter has one writer.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._producer: Any = None
        self._accepted = 0
        self._delivered = 0
        self._undelivered = 0
        self._refused = 0
        self._failure: str | None = None
        self._is_closing = threading.Event()

    def send(self, scored: ScoredOrder) -> None:
        if self._producer is None:
            self._refused += 1
            return
        key, value = message(scored)
        try:
            self._producer.produce(self._topic, value, key, on_delivery=self._report)
            self._accepted += 1
        except BufferError:
            self._refused += 1
        except library().KafkaException as error:
            self._refused += 1
            self._failure = f"score stream: {error.args[0].str()}"

    def status(self) -> StreamStatus:
        """What was delivered, what was dropped, what waits, and why."""
        waiting = self._accepted - self._delivered - self._undelivered
        return StreamStatus(
            topic=self._topic,
            delivered=self._delivered,
            dropped=self._refused + self._undelivered,
            waiting=waiting,
            failure=self._failure,
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """A client that cannot be made is shown and costs the messages, not the service."""
        try:
            self._producer = producer(
                self._settings,
                self._tell,
                message_timeout_ms=DELIVERY_SECONDS * 1_000,
                queue_buffering_max_messages=self._settings.scores_waiting,
                queue_buffering_max_kbytes=MAX_WAITING_KBYTES,
            )
        except StreamingError as error:
            self._failure = f"score stream: {error}"
            logger.error("%s", self._failure)
            yield
            return
        thread = threading.Thread(target=self._poll, name="score-stream", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_closing.set()
            thread.join()
            lost = self._producer.flush(CLOSE_SECONDS)
            if lost:
                logger.error("score stream: %d messages are lost at the end: %s", lost, self._failure)

    def _poll(self) -> None:
        while not self._is_closing.is_set():
            self._producer.poll(POLL_SECONDS)

    def _report(self, error: Any, _: Any) -> None:
        if error is None:
            self._delivered += 1
            self._failure = None
        else:
            self._undelivered += 1
            self._tell(error.str())

    def _tell(self, trouble: str) -> None:
        self._failure = f"score stream: {trouble}"


def publish(settings: KafkaSettings, topic: str, messages: Iterable[Message]) -> int:
    """Send messages and wait until the brokers have them all. Sent again they have the same keys and values.

    Returns:
        How many there were.

    Raises:
        StreamingError: if one was not delivered; those before it may have been.
    """
    troubles: list[str] = []
    failures: list[str] = []

    def report(error: Any, _: Any) -> None:
        if error is not None:
            failures.append(error.str())

    client = producer(settings, troubles.append, message_timeout_ms=DELIVERY_SECONDS * 1_000)
    count = 0
    for key, value in messages:
        count += 1
        while not failures:
            try:
                client.produce(topic, value, key, on_delivery=report)
                break
            except BufferError:
                client.poll(POLL_SECONDS)
            except library().KafkaException as error:
                failures.append(error.args[0].str())
        if failures:
            break
    waiting = client.flush(DELIVERY_SECONDS + 1)
    if failures or waiting:
        reason = failures[0] if failures else f"{waiting} messages are not delivered"
        raise StreamingError(f"topic {topic}: {reason}{f' ({troubles[-1]})' if troubles else ''}")
    return count
