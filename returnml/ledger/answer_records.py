"""The inference log's records and folders: what was answered, from what, and when.

Below ``<logs>/inference`` each worker process has a folder of its own, with one append-only log (``log.py``) for each
UTC day of ``requested_at``::

    <worker>/<YYYY-MM-DD>/<first seq>.log

A log entry is a batch of answers, packed together. Here: the format, writing and reading it. Not here: what the service
does when the disk is slow or full.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from returnml.instants import day_of
from returnml.ledger.record_log import LogError, LogWriter, Record, read
from returnml.policy.document import Policy

ENTRY_ANSWERS = 256
FORMAT = b"\x02"
PRUNED_FILE = "pruned"
"""In a worker's folder of a day: its segments were removed once the warehouse had them."""
COMPRESSION_LEVEL = 1
"""Higher levels cost the service more than the saved disk is worth: this one already removes the many zeros."""


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """One answered request; lists have one value for each line of it.

    Attributes:
        mark: ``seq`` of the last live event that was visible; 0 where only a generation was.
        visible_until_us: event streams were visible before this instant.
        derived_until_us: streams made by the nightly job were visible before this one.
        role: of the release: ``champion``.
        worker: the process that answered, also the name of its folder.
        latency_us: from the decoded order to the scores.
        is_stale: the store was away; the features are of the generation alone.
        policy: that costs and actions were decided with.
        inputs: the request's columns as the feature engine read them.
        raw: the stored words of every aggregate, see ``returnml.store.reading.read_plan.exact_values``: little-endian int64.
        vectors: little-endian float32, lines times features.
        probability: float32 values.
    """

    request_id: str
    order_id: str
    requested_at_us: int
    mark: int
    generation: str
    visible_until_us: int
    derived_until_us: int
    feature_set_hash: str
    release: str
    role: str
    worker: str
    latency_us: int
    currency: str
    is_stale: bool
    policy: Policy
    inputs: dict[str, list[Any]]
    raw: bytes
    vectors: bytes
    probability: list[float]
    expected_cost_cents: list[int]
    action: list[str]
    is_explored: list[bool]

    @property
    def day(self) -> date:
        """The UTC day of the moment: the partition."""
        return day_of(self.requested_at_us)

    @property
    def lines(self) -> int:
        return len(self.probability)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Answer])


def encode(answers: Sequence[Answer]) -> bytes:
    """The payload of one log entry."""
    return FORMAT + zlib.compress(_ENCODER.encode(answers), COMPRESSION_LEVEL)


def decode(payload: bytes) -> list[Answer]:
    """The answers of one log entry.

    Raises:
        LogError: for a payload of another format.
    """
    if payload[:1] != FORMAT:
        raise LogError(f"inference log: unknown format {payload[:1]!r}, this code reads {FORMAT!r}")
    try:
        return _DECODER.decode(zlib.decompress(payload[1:]))
    except (zlib.error, msgspec.DecodeError) as error:
        raise LogError(f"inference log: an entry cannot be decoded: {error}") from error


def day_folder(root: Path, worker: str, day: date) -> Path:
    """Where a worker's log of a day lies."""
    return root / worker / day.isoformat()


class DayWriter:
    """Appends answers to one worker's log of one day; what a killed process left torn is cut off first.

    Args:
        folder: of the log; only one process at a time may write it.

    Raises:
        LogError: if what is there is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._log = LogWriter(folder)
        with self._log.turn():
            self._last, self._position = self._log.newest()

    def append(self, answers: Sequence[Answer]) -> None:
        """Flush answers to disk: all of them, or none. Without answers an empty entry proves that the disk takes one.

        Raises:
            LogError, OSError: if they are not on disk.
        """
        records = []
        last = self._last
        for start in range(0, max(len(answers), 1), ENTRY_ANSWERS):
            chunk = answers[start : start + ENTRY_ANSWERS]
            known_at_us = max([last.known_at_us + 1, *(a.requested_at_us for a in chunk)])
            last = Record(last.seq + 1, known_at_us, encode(chunk))
            records.append(last)
        with self._log.turn():
            self._position = self._log.append(records, self._position)
        self._last = last

    def close(self) -> None:
        self._log.close()


def logged_days(root: Path) -> list[date]:
    """Days on which any worker logged an answer, ascending."""
    return sorted({date.fromisoformat(folder.name) for folder in root.glob("*/????-??-??")})


def is_pruned(root: Path, day: date) -> bool:
    """Whether the day's segments were removed."""
    return any(root.glob(f"*/{day.isoformat()}/{PRUNED_FILE}"))


def read_day(root: Path, day: date) -> Iterator[Answer]:
    """Every answer of a day, worker by worker in the order of writing.

    Raises:
        LogError: for a damaged log; it names the file.
    """
    for folder in sorted(root.glob(f"*/{day.isoformat()}")):
        for entry in read(folder):
            try:
                yield from decode(entry.payload)
            except LogError as error:
                raise LogError(f"{folder}, entry {entry.seq}: {error}") from error


def find(root: Path, request_id: str, day: date | None = None) -> Answer | None:
    """The answer to a request, sought through one day or, newest first, through all."""
    for searched in [day] if day else reversed(logged_days(root)):
        for answer in read_day(root, searched):
            if answer.request_id == request_id:
                return answer
    return None
