"""The append-only log: checksummed records in rotated segments, durable before ``append`` returns.

A segment is named after the first ``seq`` in it. A record is a fixed header (length, crc32, seq, known_at) and its
payload; the checksum covers all but itself. A record torn by a kill can only be the last one of the last segment: it
was never acknowledged, and is cut off before the next one is written. Damage anywhere else is an error.

One writer at a time (``turn``); any number of readers.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from returnml.errors import Refusal
from returnml.files import sync_folder
from returnml.ledger.turn import Turn

_HEADER = struct.Struct("<IIQQ")
_CHECKED = struct.Struct("<IQQ")
SUFFIX = ".log"
MAX_PAYLOAD = 1 << 24


class LogError(Refusal):
    """A log that cannot be read or written; the message names the file and the byte."""


@dataclass(frozen=True)
class Record:
    """One entry: its position, when it became known (microseconds) and its payload."""

    seq: int
    known_at_us: int
    payload: bytes

    def encode(self) -> bytes:
        if len(self.payload) > MAX_PAYLOAD:
            raise LogError(f"record {self.seq}: {len(self.payload)} bytes are over the limit of {MAX_PAYLOAD}")
        length = len(self.payload)
        crc = zlib.crc32(self.payload, zlib.crc32(_CHECKED.pack(length, self.seq, self.known_at_us)))
        return _HEADER.pack(length, crc, self.seq, self.known_at_us) + self.payload


def segments(folder: Path) -> list[Path]:
    """The segment files, oldest first."""
    return sorted(p for p in folder.glob(f"*{SUFFIX}") if p.stem.isdigit())


def read(folder: Path, after_seq: int = 0) -> Iterator[Record]:
    """Records with ``seq > after_seq`` in order; stops before a torn tail.

    Raises:
        LogError: for damage that is no torn tail, or positions that do not increase.
    """
    files = segments(folder)
    starts = [int(f.stem) for f in files]
    for i, file in enumerate(files):
        if i + 1 < len(files) and starts[i + 1] <= after_seq + 1:
            continue
        for _, record in _scan(file, is_last=i + 1 == len(files)):
            if record.seq > after_seq:
                yield record


def read_between(folder: Path, from_us: int, until_us: int) -> Iterator[tuple[Path, Record]]:
    """Records with ``from_us <= known_at_us < until_us`` in order, each with its segment; only those segments are read.

    Raises:
        LogError: for damage in a segment that is read.
    """
    files = segments(folder)
    for i, file in enumerate(files):
        is_last = i + 1 == len(files)
        first = _first(file, is_last)
        if first is None or first.known_at_us >= until_us:
            return
        following = None if is_last else _first(files[i + 1], i + 2 == len(files))
        if following is not None and following.known_at_us <= from_us:
            continue
        for _, record in _scan(file, is_last=is_last):
            if record.known_at_us >= until_us:
                break  # the next segment says that it begins later
            if record.known_at_us >= from_us:
                yield file, record


def first_record(folder: Path) -> Record | None:
    """The oldest record; None where there is none."""
    files = segments(folder)
    return _first(files[0], len(files) == 1) if files else None


def last_record(folder: Path, before_us: int | None = None) -> Record | None:
    """The newest record, or the newest with ``known_at_us < before_us``; None where there is none.

    Raises:
        LogError: for damage in the segment that has it.
    """
    files = segments(folder)
    for i in reversed(range(len(files))):
        is_last = i + 1 == len(files)
        first = _first(files[i], is_last)
        if first is None or (before_us is not None and first.known_at_us >= before_us):
            continue
        found = first
        for _, record in _scan(files[i], is_last=is_last):
            if before_us is not None and record.known_at_us >= before_us:
                break
            found = record
        return found
    return None


class Position(NamedTuple):
    """Where the next record goes: the segment (named after its first ``seq``; 0 before there is one) and the byte."""

    segment: int = 0
    byte: int = 0


START = Position()


class LogWriter:
    """Appends to a log; several may be open, one at a time writes.

    It remembers nothing of the log between two turns: who keeps the position of what was taken over (the store, in the
    transaction that took it over) finds what others appended since, and what a killed writer left, in the tail.

    Args:
        folder: of the segments; made if absent.
        segment_bytes: a segment that reached this size is followed by a new one.
    """

    def __init__(self, folder: Path, segment_bytes: int = 64 << 20) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._turn = Turn(folder / ".writer.lock")

    def turn(self) -> AbstractContextManager[None]:
        """Wait until no other writer has its turn, in this process or another, and take it.

        Raises:
            TurnError: see ``Turn.taken``.
        """
        return self._turn.taken()

    def tail(self, position: Position, at_most: int | None = None) -> tuple[list[Record], Position]:
        """The records from ``position`` on, and where the next one goes; a torn tail is cut off. Only in one's turn.

        Args:
            at_most: how many records; fewer come only at the end.

        Raises:
            LogError: for damage, or a log that ends before ``position``.
        """
        files = [file for file in segments(self.folder) if int(file.stem) >= position.segment]
        if position.segment and (not files or int(files[0].stem) != position.segment):
            raise LogError(f"{self.folder}: segment {position.segment} is missing")
        found: list[Record] = []
        for i, file in enumerate(files):
            begin = position.byte if int(file.stem) == position.segment else 0
            size = file.stat().st_size
            if size < begin:
                raise LogError(f"{file}: ends at byte {size}, before byte {begin} that was acknowledged")
            end = begin
            if size > begin:
                for end, record in _scan(file, is_last=i + 1 == len(files), begin=begin):
                    found.append(record)
                    if len(found) == at_most:
                        return found, Position(int(file.stem), end)
                if end < size:
                    _cut(file, end)
            position = Position(int(file.stem), end)
        return found, position

    def newest(self) -> tuple[Record, Position]:
        """The last record, and where the next one goes, read from the last segment; a torn tail is cut off. Only in one's turn.

        Returns:
            Where the last segment has no record, an empty one in front of it.

        Raises:
            LogError: for damage in the last segment.
        """
        present = segments(self.folder)
        if not present:
            return Record(0, 0, b""), START
        first = int(present[-1].stem)
        found, position = self.tail(Position(first))
        return found[-1] if found else Record(first - 1, 0, b""), position

    def append(self, records: Sequence[Record], position: Position) -> Position:
        """Append records where ``tail`` said and flush them to disk; after the return none of them can be lost.

        If writing fails (a full disk), what was written of the batch is cut off again, and nothing of it is in the log.

        Returns:
            Where the next record goes.

        Raises:
            LogError: if ``seq`` or ``known_at_us`` do not strictly increase.
            OSError: as the disk says.
        """
        for before, record in pairwise(records):
            if record.seq <= before.seq or record.known_at_us <= before.known_at_us:
                raise LogError(
                    f"record {record.seq} at {record.known_at_us}: not after record {before.seq} at {before.known_at_us}"
                )
        content = b"".join(record.encode() for record in records)
        is_new = not position.segment or position.byte >= self.segment_bytes
        if is_new:
            position = Position(records[0].seq, 0)
        file = self.folder / f"{position.segment:020d}{SUFFIX}"
        with open(file, "xb" if is_new else "r+b", buffering=0) as segment:
            try:
                segment.seek(position.byte)
                written = 0
                while written < len(content):
                    written += segment.write(content[written:])
                os.fsync(segment.fileno())
            except OSError:
                os.ftruncate(segment.fileno(), position.byte)
                raise
        if is_new:
            sync_folder(self.folder)
        return Position(position.segment, position.byte + len(content))

    def close(self) -> None:
        self._turn.close()


def _cut(file: Path, size: int) -> None:
    with open(file, "r+b") as segment:
        segment.truncate(size)
        os.fsync(segment.fileno())


def _scan(file: Path, *, is_last: bool, begin: int = 0) -> Iterator[tuple[int, Record]]:
    """Records of one segment from byte ``begin`` on, with the byte after each."""
    with open(file, "rb") as segment:
        segment.seek(begin)
        content = segment.read()
    at, seq, known_at_us = 0, 0, 0
    while at < len(content):
        record, problem = _decode(content, at)
        if record is None:
            if is_last and not _has_record_after(content, at):
                return
            raise LogError(f"{file}, byte {begin + at}: {problem}, and records follow")
        if record.seq <= seq or record.known_at_us <= known_at_us:
            raise LogError(f"{file}, byte {begin + at}: record {record.seq} does not come after record {seq}")
        seq, known_at_us = record.seq, record.known_at_us
        at += _HEADER.size + len(record.payload)
        yield begin + at, record


def check_segment(file: Path, *, is_last: bool) -> int:
    """The byte after the last record of a segment, every one of which was read.

    Raises:
        LogError: naming the byte that is damaged.
    """
    return max((end for end, _ in _scan(file, is_last=is_last)), default=0)


def _first(file: Path, is_last: bool) -> Record | None:
    """The first record of a segment; None where the last segment has none yet."""
    with open(file, "rb") as segment:
        content = segment.read(_HEADER.size)
        if len(content) == _HEADER.size:
            content += segment.read(min(_HEADER.unpack(content)[0], MAX_PAYLOAD))
    record, problem = _decode(content, 0)
    if record is None and not (is_last and next(_scan(file, is_last=True), None) is None):
        raise LogError(f"{file}, byte 0: {problem}")
    return record


def _decode(content: bytes, at: int) -> tuple[Record | None, str]:
    if at + _HEADER.size > len(content):
        return None, "a torn header"
    length, crc, seq, known_at_us = _HEADER.unpack_from(content, at)
    payload = content[at + _HEADER.size : at + _HEADER.size + length]
    if length > MAX_PAYLOAD or len(payload) < length:
        return None, "a torn record"
    if zlib.crc32(payload, zlib.crc32(_CHECKED.pack(length, seq, known_at_us))) != crc:
        return None, "a record whose checksum does not match"
    return Record(seq, known_at_us, payload), ""


def _has_record_after(content: bytes, at: int) -> bool:
    """Whether a valid record starts anywhere after a bad one: then it is damage, not a torn tail."""
    return any(_decode(content, i)[0] is not None for i in range(at + 1, len(content) - _HEADER.size + 1))
