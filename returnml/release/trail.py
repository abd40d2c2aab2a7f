"""Append-only files of hash-chained JSON lines: each record has the sha256 of the line before it as ``previous``.

A chain shows that a record in it was changed, not that its end was cut off or all of it written anew. For that its head
(how many records, and the hash of the last) is kept elsewhere, too. A record is appended before the head is moved: the
append is what counts, and a kill between the two is finished by the next writer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from returnml.errors import Refusal
from returnml.files import (
    UNDECODABLE,
    sha256,
    sync_folder,
    write_synced,
)
from returnml.release.plain import NotPlain, read_plain
from returnml.release.seal import Seal

GENESIS = "0" * 64


class Chained(Protocol):
    """A record of a trail; a msgspec struct."""

    @property
    def previous(self) -> str: ...

    @property
    def signature(self) -> str | UnsetType: ...


R = TypeVar("R", bound=Chained)


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a trail ends.

    Attributes:
        sha256: of its last line; that of no record: zeros.
        signature: of the last record, where that has none of its own: it was written before there was a key.
    """

    count: int = 0
    sha256: str = GENESIS
    signature: str | UnsetType = UNSET


class TrailError(Refusal):
    """A trail that cannot be trusted; the message names the file and the line."""


def mend_command(what: str, *options: str) -> str:
    """``returnml trail mend`` for a task, or for ``erasures``."""
    return " ".join(["returnml trail mend", what, *options, "--by WHO --why WHY"])


def name_of(trail: Path) -> str:
    """What a trail is called wherever its data root lies: ``return_risk/audit.jsonl``."""
    return f"{trail.parent.name}/{trail.name}"


def append(trail: Path, record: Chained) -> None:
    """Append a record and flush it to disk; a line that a killed writer left torn is dropped first."""
    content = _content(trail)
    if content and not content.endswith(b"\n"):
        os.truncate(trail, content.rfind(b"\n") + 1)
    is_new = not trail.exists()
    with open(trail, "ab") as file:
        file.write(msgspec.json.encode(record) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_folder(trail.parent)


def set_aside(trail: Path) -> str | None:
    """Keep a damaged trail under a name that says what it is, beside the one that takes its place; returns the name."""
    content = _content(trail)
    if not content:
        return None
    kept = trail.with_name(f"{trail.stem}.damaged-{sha256(content)[:12]}{trail.suffix}")
    write_synced(kept, content)
    sync_folder(trail.parent)
    return kept.name


def lines(trail: Path) -> list[bytes]:
    """The whole lines of a trail, oldest first, without one that is being written or was left torn; none without a file.

    Raises:
        TrailError: where it is a link or no plain file.
    """
    return _content(trail).split(b"\n")[:-1]


def is_torn(trail: Path) -> bool:
    """Whether the last line has no end."""
    content = _content(trail)
    return bool(content) and not content.endswith(b"\n")


def heads(found: Sequence[bytes]) -> list[Head]:
    """The head after no line, after the first, and so on."""
    return [Head(), *(Head(count, sha256(line)) for count, line in enumerate(found, start=1))]


def records_of(trail: Path, found: Sequence[bytes], kind: type[R]) -> list[R]:
    """The records of lines.

    Args:
        trail: they are of, for the message.

    Raises:
        TrailError: naming the first line that is no record or whose chain is broken.
    """
    records, previous = [], GENESIS
    for number, line in enumerate(found, start=1):
        try:
            record = msgspec.json.decode(line, type=kind)
        except UNDECODABLE as error:
            raise TrailError(f"{trail}, line {number}: {error}") from error
        if record.previous != previous:
            raise TrailError(f"{trail}, line {number}: the chain is broken: a record was changed, added or removed before it")
        records.append(record)
        previous = sha256(line)
    return records


def signed(trail: Path, record: R, seal: Seal) -> R:
    """The record with a signature where there is a key to sign with.

    Raises:
        SealError: if the key cannot be used.
    """
    return msgspec.structs.replace(record, signature=seal.sign(_message(trail, record)))  # type: ignore[type-var]


def signature_problem(trail: Path, record: Chained, head: Head | None, seal: Seal) -> str | None:
    """Why a newest record is not vouched for by the key that must; None where it is, or none must.

    Raises:
        SealError: if the key cannot be used.
    """
    if not seal.is_required:
        return None
    signature = head.signature if head is not None and record.signature is UNSET else record.signature
    if signature is UNSET:
        return "its newest record is not signed"
    return None if seal.holds(_message(trail, record), signature) else "the signature of its newest record is not of this key"


def sign_head(trail: Path, record: Chained, head: Head, seal: Seal) -> Head:
    """The head of a newest record that has no signature of its own, with one where there is a key."""
    return msgspec.structs.replace(head, signature=seal.sign(_message(trail, record)) if record.signature is UNSET else UNSET)


def _message(trail: Path, record: Chained) -> bytes:
    content = msgspec.json.encode(msgspec.structs.replace(record, signature=UNSET))  # type: ignore[type-var]
    return f"returnml trail\n{name_of(trail)}\n{sha256(content)}\n".encode()


def _content(trail: Path) -> bytes:
    try:
        return read_plain(trail.parent, trail.name)
    except FileNotFoundError:
        return b""
    except NotPlain as error:
        raise TrailError(f"{error}: a trail is a plain file") from error
