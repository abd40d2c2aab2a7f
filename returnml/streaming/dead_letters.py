"""Messages that are no events: kept where a person finds them, with where they stood and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import structs

from returnml.clock import Clock
from returnml.errors import Unavailable
from returnml.files import UNDECODABLE
from returnml.ledger.record_log import LogError, LogWriter, Record, read
from returnml.settings import Settings
from returnml.streaming.client import StreamingError, Tell, library, producer

SECONDS_TO_DELIVER = 30
SEGMENT_BYTES = 4 << 20
"""Whoever appends reads the last segment: others append too, and forgetting a customer rewrites it."""
PIECE_BYTES = 8 << 20
"""A log takes no larger record than twice this; a larger value is kept in pieces."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A message as it was, and why it is no event. One that was delivered twice may be kept twice: same offset."""

    topic: str
    partition: int
    offset: int
    rule: str
    field: str
    message: str
    key: bytes | None
    value: bytes | None


class DeadLettersUnavailable(Unavailable):
    """Dead letters cannot be kept now; the message says why."""


class DeadLetters(Protocol):
    """Keeps dead letters."""

    def keep(self, letters: Sequence[DeadLetter]) -> None:
        """After the return they are durable.

        Raises:
            DeadLettersUnavailable: some of them are not.
        """


class Piece(msgspec.Struct, frozen=True):
    """A log record: a letter, or a part of its value."""

    letter: DeadLetter
    number: int
    of: int


encode_piece = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Piece).decode


def decode_piece(record: Record, folder: Path) -> Piece:
    """
    Raises:
        StreamingError: naming the record, where it is of another version of this code.
    """
    try:
        return _DECODE(record.payload)
    except UNDECODABLE as error:
        raise StreamingError(f"{folder}, record {record.seq}: {error}") from error


class DeadLetterLog:
    """A checksummed log in a folder. Several consumers may write one."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def keep(self, letters: Sequence[DeadLetter]) -> None:
        try:
            log = LogWriter(self._folder, SEGMENT_BYTES)
            try:
                with log.turn():
                    self._append(log, letters)
            finally:
                log.close()
        except (LogError, OSError) as error:
            raise DeadLettersUnavailable(f"dead letters cannot be kept: {error}") from error

    def _append(self, log: LogWriter, letters: Sequence[DeadLetter]) -> None:
        last, position = log.newest()
        at_us = max(self._clock.now_us(), last.known_at_us + 1)
        pieces = [piece for letter in letters for piece in _pieces(letter)]
        log.append([Record(last.seq + 1 + i, at_us + i, encode_piece(piece)) for i, piece in enumerate(pieces)], position)


class DeadLetterTopic:
    """A topic; what it refuses for good (too large a message) goes to a log instead.

    Raises:
        StreamingError: where there can be no producer.
    """

    def __init__(self, settings: Settings, otherwise: DeadLetterLog, tell: Tell) -> None:
        self._topic = settings.kafka.dead_letter_topic
        self._otherwise = otherwise
        self._producer = producer(settings.kafka, tell, message_timeout_ms=SECONDS_TO_DELIVER * 1_000)

    def keep(self, letters: Sequence[DeadLetter]) -> None:
        kafka = library()
        failures: list[tuple[DeadLetter, Any]] = []
        for letter in letters:
            try:
                self._produce(letter, failures)
            except kafka.KafkaException as error:
                failures.append((letter, error.args[0]))
        waiting = self._producer.flush(SECONDS_TO_DELIVER + 1)
        if waiting:
            raise DeadLettersUnavailable(f"topic {self._topic}: {waiting} dead letters were not delivered")
        too_large = [letter for letter, error in failures if error.code() == kafka.KafkaError.MSG_SIZE_TOO_LARGE]
        if too_large:
            self._otherwise.keep(too_large)
        if len(failures) > len(too_large):
            other = next(error for letter, error in failures if letter not in too_large)
            raise DeadLettersUnavailable(f"topic {self._topic}: dead letters were not delivered: {other.str()}")

    def _produce(self, letter: DeadLetter, failures: list[tuple[DeadLetter, Any]]) -> None:
        def report(error: Any, _: Any) -> None:
            if error is not None:
                failures.append((letter, error))

        headers = {n: str(getattr(letter, n)) for n in ("topic", "partition", "offset", "rule", "field", "message")}
        while True:
            try:
                self._producer.produce(self._topic, letter.value, letter.key, headers=headers, on_delivery=report)
                return
            except BufferError:
                self._producer.poll(0.1)


def dead_letters(settings: Settings, clock: Clock, tell: Tell) -> DeadLetters:
    """Where the settings say that dead letters go.

    Raises:
        StreamingError: where there can be no producer.
    """
    log = DeadLetterLog(settings.paths.dead_letters, clock)
    return log if settings.kafka.dead_letter_topic is None else DeadLetterTopic(settings, log, tell)


def logged(folder: Path) -> Iterator[DeadLetter]:
    """The dead letters in a log, each offset once, oldest first.

    Raises:
        LogError: for a damaged log.
        StreamingError: for a record of another version of this code.
    """
    seen: set[tuple[str, int, int]] = set()
    held: list[DeadLetter] = []
    for record in read(folder):
        piece = decode_piece(record, folder)
        if piece.number == 0:
            held = []  # what a kill left without its end was not committed: it came again
        held.append(piece.letter)
        letter = piece.letter
        place = (letter.topic, letter.partition, letter.offset)
        if piece.number + 1 == piece.of and place not in seen:
            seen.add(place)
            yield letter if piece.of == 1 else structs.replace(letter, value=b"".join(part.value or b"" for part in held))


def _pieces(letter: DeadLetter) -> list[Piece]:
    value = letter.value
    if value is None or len(value) <= PIECE_BYTES:
        return [Piece(letter, 0, 1)]
    starts = range(0, len(value), PIECE_BYTES)
    parts = [structs.replace(letter, value=value[start : start + PIECE_BYTES]) for start in starts]
    return [Piece(part, number, len(parts)) for number, part in enumerate(parts)]
