"""Writes deliveries into the landing folder, each of them whole or not at all.

What belongs here: files, versions, locks. What must not: what a delivery should change (``delivery_plan``).

**Killed at any moment, a reader sees the old state or the new one.** First the delivery's record is written under the name
``pending.json``; then each file and its sidecar, flushed, first under hidden names; last the record takes its number, and with it
all files are there at once. The next writer removes the files that a pending record names.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import msgspec
import polars as pl

from returnml.clock import Clock
from returnml.contracts.columns import DeliveredStream
from returnml.files import (
    locked,
    readable_json,
    sha256,
    sync_folder,
    write_synced,
)
from returnml.sources.delivered_frame import to_delivered
from returnml.sources.landing import (
    PENDING,
    Changes,
    DeliveryRecord,
    LandingFile,
    Mode,
    Sidecar,
    StreamRecord,
    committed,
    history,
    landing_file,
    read_record,
    temporary,
)

Progress = Callable[[str, int, int], None]
"""Called with what is being done, days done and days to do."""

_ROWS_PER_GROUP = 131_072


def silent(label: str, done: int, total: int) -> None:
    """No progress is shown."""


@dataclass(frozen=True)
class DayPart:
    """What a delivery writes of one day of one stream; no rows is valid ("nothing happened")."""

    stream: DeliveredStream
    day: date
    mode: Mode
    rows: pl.DataFrame
    has_own_ids: bool
    changes: Changes


@contextmanager
def delivering(landing: Path) -> Iterator[None]:
    """Hold the landing folder alone, after removing what a killed writer left. Nobody else changes it meanwhile."""
    with locked(landing / ".lock"):
        _clear_unfinished(landing)
        yield


def write_delivery(
    landing: Path,
    source: str,
    parts: Sequence[DayPart],
    clock: Clock,
    *,
    streams: Sequence[StreamRecord] = (),
    replaced: str | None = None,
    progress: Progress = silent,
) -> list[LandingFile]:
    """Write one delivery; within ``delivering``.

    Args:
        source: where the rows came from, for people.
        parts: at most one of a stream and day.
        streams: what was delivered of each stream, for the record.
        replaced: the period that is replaced, in words.
        progress: called after each part.

    Returns:
        The new versions.

    Raises:
        LandingError: where a day's folder cannot be read unambiguously; nothing is written then.
        ValueError: if a frame does not fit its stream.
    """
    folder = landing / "deliveries"
    folder.mkdir(parents=True, exist_ok=True)
    done = committed(landing)
    number, at_us = max(done, default=0) + 1, clock.now_us()
    versions = []
    for part in parts:
        before = history(landing, part.stream.name, part.day, done)
        versions.append(before[-1].version + 1 if before else 1)
    files = tuple(f"{p.stream.name}/{p.day}/{v:04d}" for p, v in zip(parts, versions, strict=True))
    record = DeliveryRecord(number, source, at_us, replaced, tuple(streams), files)
    pending = folder / PENDING
    write_synced(temporary(pending), readable_json(record))
    os.replace(temporary(pending), pending)
    sync_folder(folder)
    written = []
    for at, (part, version) in enumerate(zip(parts, versions, strict=True), 1):
        written.append(_write_part(landing, part, version, number, source, at_us))
        progress(f"delivering {part.stream.name}", at, len(parts))
    os.replace(pending, folder / f"{number:06d}.json")
    sync_folder(folder)
    return written


def parquet_bytes(stream: DeliveredStream, frame: pl.DataFrame) -> bytes:
    """The Parquet file of ``frame``: the same rows in any order give the same bytes.

    Contract columns come in contract order with contract types (absent optional ones as nulls), extra columns after
    them by name; rows are sorted by time and id (rows that share both by everything else).

    Raises:
        ValueError: if a required column is missing or a column cannot have the contract's type.
    """
    delivered = to_delivered(stream, frame)
    by = [stream.time_column, stream.id_column]
    others = [name for name in delivered.columns if name not in by]
    buffer = io.BytesIO()
    delivered.sort(*by, *others, maintain_order=True).write_parquet(
        buffer, compression="zstd", compression_level=3, statistics=True, row_group_size=_ROWS_PER_GROUP
    )
    return buffer.getvalue()


def _write_part(landing: Path, part: DayPart, version: int, delivery: int, source: str, at_us: int) -> LandingFile:
    content = parquet_bytes(part.stream, part.rows)
    digest = sha256(content)
    sidecar = Sidecar(
        part.stream.name, part.day, version, digest, part.rows.height, source, at_us,
        part.mode, delivery, part.has_own_ids, part.changes,
    )  # fmt: skip
    folder = landing / part.stream.name / part.day.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{version:04d}-{digest[:12]}.parquet"
    meta = path.with_suffix(".json")
    write_synced(temporary(path), content)
    write_synced(temporary(meta), msgspec.json.format(msgspec.json.encode(sidecar)) + b"\n")
    os.replace(temporary(meta), meta)
    os.replace(temporary(path), path)
    sync_folder(folder)
    return landing_file(sidecar, path)


def _clear_unfinished(landing: Path) -> None:
    """Remove the files of a delivery that a killed writer left; the record goes last, so that a second kill is made good, too."""
    pending = landing / "deliveries" / PENDING
    if not pending.exists():
        return
    for name in read_record(pending).files:
        folder, version = (landing / name).parent, (landing / name).name
        for path in folder.glob(f"{version}-*.parquet"):
            os.replace(path, temporary(path))  # a sidecar beside a hidden file is unfinished to readers, not damaged
        for path in (*folder.glob(f"{version}-*.json"), *folder.glob(f".{version}-*.tmp")):
            path.unlink()
    pending.unlink()
    sync_folder(pending.parent)
