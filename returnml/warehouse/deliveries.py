"""Which landing files make up which known days, and whether each is what its sidecar says.

Until ``go_live`` the highest version of a landing day is imported as that day. After it every delivered version is
a delivery of its own, known on the day on which it was delivered: a closed day never changes.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import polars.exceptions

from returnml.contracts.columns import DeliveredStream
from returnml.contracts.delivered import header_failures

_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class RefusedFile:
    """A landing file that was not read, and why."""

    stream: str
    day: date
    file: str
    rule: str
    column: str | None
    message: str

    def __str__(self) -> str:
        where = f", column {self.column}" if self.column else ""
        return f"{self.file}{where}: {self.rule}: {self.message}"


class FileRefused(ValueError):
    """Carries the refusal of one file."""

    def __init__(self, refused: RefusedFile) -> None:
        super().__init__(str(refused))
        self.refused = refused


@dataclass(frozen=True)
class Delivery:
    """One landing file.

    Attributes:
        known_day: the partition it feeds.
        file: its path relative to the landing folder.
        is_imported: delivered before ``go_live``: rows are known when they occurred, else when they were delivered.
    """

    stream: str
    known_day: date
    landing_day: date
    file: str
    path: Path
    version: int
    sha256: str
    rows: int
    delivered_at_us: int
    is_imported: bool


def instant_us(text: str | None) -> int | None:
    """An ISO 8601 instant (UTC where it names no zone) as microseconds since the epoch.

    >>> instant_us("1970-01-01T00:00:01+00:00"), instant_us(None)
    (1000000, None)
    """
    if text is None:
        return None
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at.astimezone(UTC).replace(tzinfo=None) - _EPOCH) // timedelta(microseconds=1)


def find_deliveries(
    landing: Path, stream: DeliveredStream, first: date, last: date, go_live_us: int | None
) -> tuple[list[Delivery], list[RefusedFile]]:
    """The files that feed the known days ``first`` to ``last``, and those whose sidecar cannot be used."""
    found: list[Delivery] = []
    refused: list[RefusedFile] = []
    folder = landing / stream.name
    for day_folder in sorted(folder.iterdir()) if folder.is_dir() else []:
        landing_day = _day(day_folder.name)
        if landing_day is None or (go_live_us is None and not first <= landing_day <= last):
            continue
        imported: Delivery | None = None
        for path in sorted(day_folder.glob("*.parquet")):
            try:
                delivery = _read(landing, stream.name, landing_day, path, go_live_us)
            except FileRefused as error:
                if first <= landing_day <= last:
                    refused.append(error.refused)
                continue
            if not delivery.is_imported:
                found.append(delivery)
            elif imported is None or delivery.version > imported.version:
                imported = delivery
        if imported is not None:
            found.append(imported)
    chosen = [d for d in found if first <= d.known_day <= last]
    return sorted(chosen, key=lambda d: (d.known_day, d.delivered_at_us if not d.is_imported else 0, d.file)), refused


def check_file(delivery: Delivery) -> pl.Schema:
    """Verify the bytes against the sidecar and read the header.

    Raises:
        FileRefused: naming the file and the rule.
    """
    data = delivery.path.read_bytes()
    if not data:
        raise refuse(delivery, "file_empty", "the file has no bytes")
    if hashlib.sha256(data).hexdigest() != delivery.sha256:
        raise refuse(delivery, "sha256_mismatch", f"the {len(data)} bytes are not those that its sidecar describes")
    try:
        header = pl.read_parquet_schema(io.BytesIO(data))
    except (polars.exceptions.PolarsError, OSError) as error:
        raise refuse(delivery, "unreadable_parquet", str(error).splitlines()[0]) from error
    return pl.Schema(header)


def check_header(delivery: Delivery, stream: DeliveredStream, header: pl.Schema) -> None:
    """Hold the header against the as-delivered contract.

    Raises:
        FileRefused: with the first failure.
    """
    failures = header_failures(stream, header)
    if failures:
        others = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise refuse(delivery, failures[0].rule, failures[0].message + others, failures[0].column)


def refuse(delivery: Delivery, rule: str, message: str, column: str | None = None) -> FileRefused:
    """The refusal of a delivery, to be raised or recorded."""
    return FileRefused(RefusedFile(delivery.stream, delivery.known_day, delivery.file, rule, column, message))


def _read(landing: Path, stream: str, landing_day: date, path: Path, go_live_us: int | None) -> Delivery:
    file = path.relative_to(landing).as_posix()

    def unusable(rule: str, message: str) -> FileRefused:
        return FileRefused(RefusedFile(stream, landing_day, file, rule, None, message))

    sidecar = path.with_suffix(".json")
    if not sidecar.exists():
        raise unusable("sidecar_missing", f"{sidecar.name} is not there")
    try:
        said = json.loads(sidecar.read_text())
        version, rows, delivered_at_us = int(said["version"]), int(said["rows"]), int(said["delivered_at_us"])
        sha256, said_stream, said_day = str(said["sha256"]), said["stream"], said["day"]
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise unusable("sidecar_invalid", f"{sidecar.name}: {error!r}") from error
    if (said_stream, said_day) != (stream, landing_day.isoformat()):
        raise unusable("sidecar_invalid", f"{sidecar.name} describes {said_stream} of {said_day}")
    is_imported = go_live_us is None or delivered_at_us < go_live_us
    known_day = landing_day if is_imported else (_EPOCH + timedelta(microseconds=delivered_at_us)).date()
    return Delivery(stream, known_day, landing_day, file, path, version, sha256, rows, delivered_at_us, is_imported)


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None
