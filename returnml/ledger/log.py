"""The append-only log: checksummed records in rotated segments, durable before ``append`` returns.

A segment is named after the first ``seq`` in it. A record is a fixed header (length, crc32, seq, known_at) and its
payload; the checksum covers all but itself. A record torn by a kill can only be the last one of the last segment: it
was never acknowledged, and is cut off when the log is opened for writing. Damage anywhere else is an error.

One writer at a time (a file lock is held while open); any number of readers.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from returnml.release.files import sync_folder

_HEADER = struct.Struct("<IIQQ")
_CHECKED = struct.Struct("<IQQ")
SUFFIX = ".log"
MAX_PAYLOAD = 1 << 24


class LogError(Exception):
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


class LogWriter:
    """The one writer of a log.

    Args:
        folder: of the segments; made if absent.
        segment_bytes: a segment that reached this size is followed by a new one.

    Raises:
        LogError: if another process writes this log, or it is damaged.
    """

    def __init__(self, folder: Path, segment_bytes: int = 64 << 20) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        self.last_seq = 0
        self.last_known_at_us = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = open(folder / ".writer.lock", "w")  # noqa: SIM115  (held while the writer lives)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise LogError(f"{folder}: another process writes this log") from error
        self._file: BinaryIO | None = None
        self._size = 0
        self._recover()

    def append(self, records: Sequence[Record]) -> None:
        """Append records and flush them to disk; after the return none of them can be lost.

        If writing fails (a full disk), what was written of the batch is cut off again, and nothing of it is in the log.

        Raises:
            LogError: if ``seq`` or ``known_at_us`` do not strictly increase.
            OSError: as the disk says.
        """
        if not records:
            return
        seq, known_at_us = self.last_seq, self.last_known_at_us
        for record in records:
            if record.seq <= seq or record.known_at_us <= known_at_us:
                raise LogError(f"record {record.seq} at {record.known_at_us}: not after record {seq} at {known_at_us}")
            seq, known_at_us = record.seq, record.known_at_us
        content = b"".join(record.encode() for record in records)
        file = self._segment_for(records[0].seq)
        try:
            file.write(content)
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), self._size)
            os.lseek(file.fileno(), self._size, os.SEEK_SET)
            raise
        self._size += len(content)
        self.last_seq, self.last_known_at_us = seq, known_at_us

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._lock.close()

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _segment_for(self, first_seq: int) -> BinaryIO:
        if self._file is not None and self._size < self.segment_bytes:
            return self._file
        if self._file is not None:
            self._file.close()
        self._file = open(self.folder / f"{first_seq:020d}{SUFFIX}", "xb", buffering=0)  # noqa: SIM115
        self._size = 0
        sync_folder(self.folder)
        return self._file

    def _recover(self) -> None:
        files = segments(self.folder)
        while files:
            end = 0
            last: Record | None = None
            for end, last in _scan(files[-1], is_last=True):  # noqa: B007
                pass
            if last is None:
                files.pop().unlink()
                continue
            self.last_seq, self.last_known_at_us = last.seq, last.known_at_us
            self._file = open(files[-1], "r+b", buffering=0)  # noqa: SIM115
            self._file.truncate(end)
            self._file.seek(end)
            os.fsync(self._file.fileno())
            self._size = end
            return


def _scan(file: Path, *, is_last: bool) -> Iterator[tuple[int, Record]]:
    """Records of one segment with the byte after each."""
    content = file.read_bytes()
    at, seq, known_at_us = 0, 0, 0
    while at < len(content):
        record, problem = _decode(content, at)
        if record is None:
            if is_last and not _has_record_after(content, at):
                return
            raise LogError(f"{file}, byte {at}: {problem}, and records follow")
        if record.seq <= seq or record.known_at_us <= known_at_us:
            raise LogError(f"{file}, byte {at}: record {record.seq} does not come after record {seq}")
        seq, known_at_us = record.seq, record.known_at_us
        at += _HEADER.size + len(record.payload)
        yield at, record


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
