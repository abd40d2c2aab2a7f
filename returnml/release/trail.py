"""Append-only files of hash-chained JSON lines: each record has the sha256 of the line before it as ``previous``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from returnml.files import (
    UNDECODABLE,
    sha256,
    sync_folder,
)

GENESIS = "0" * 64


class Chained(Protocol):
    """A record of a trail; a msgspec struct."""

    @property
    def previous(self) -> str: ...


R = TypeVar("R", bound=Chained)


class TrailError(Exception):
    """A trail that cannot be trusted; the message names the file and the line."""


def append(trail: Path, record: Chained) -> None:
    """Append a record and flush it to disk."""
    is_new = not trail.exists()
    with open(trail, "ab") as file:
        file.write(msgspec.json.encode(record) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_folder(trail.parent)


def mend(trail: Path) -> None:
    """Drop a last line that a killed writer left torn."""
    content = trail.read_bytes() if trail.exists() else b""
    if content and not content.endswith(b"\n"):
        os.truncate(trail, content.rfind(b"\n") + 1)


def lines(trail: Path) -> list[bytes]:
    """The lines of a trail, oldest first; none where there is no file."""
    return trail.read_bytes().splitlines() if trail.exists() else []


def last_hash(trail: Path) -> str:
    """What the next record has as ``previous``."""
    found = lines(trail)
    return sha256(found[-1]) if found else GENESIS


def read_trail(trail: Path, kind: type[R]) -> list[R]:
    """All records, oldest first.

    Raises:
        TrailError: naming the first line whose chain is broken.
    """
    records, previous = [], GENESIS
    for number, line in enumerate(lines(trail), start=1):
        record = _decoded(trail, number, line, kind)
        if record.previous != previous:
            raise TrailError(f"{trail}, line {number}: the chain is broken: a record was changed, added or removed before it")
        records.append(record)
        previous = sha256(line)
    return records


def last_record(trail: Path, kind: type[R]) -> R | None:
    """The newest record; None where there is none.

    Raises:
        TrailError: naming the line, where it is no record.
    """
    found = lines(trail)
    return _decoded(trail, len(found), found[-1], kind) if found else None


def _decoded(trail: Path, number: int, line: bytes, kind: type[R]) -> R:
    try:
        return msgspec.json.decode(line, type=kind)
    except UNDECODABLE as error:
        raise TrailError(f"{trail}, line {number}: {error}") from error
