"""Which landing files make up which known days, and whether each is what its sidecar says.

Until ``go_live`` the versions that make up a landing day (``landing.standing``) are imported as that day. After it every
version is known on the day on which it was delivered: a closed day never changes.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import polars.exceptions

from returnml.contracts.columns import DeliveredStream
from returnml.contracts.delivered import header_failures
from returnml.errors import Refusal
from returnml.files import sha256
from returnml.instants import day_of
from returnml.sources.import_error import first_line
from returnml.sources.landing import LandingError, LandingFile, committed, history, standing


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


class FileRefused(Refusal):
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
        has_own_ids: rows are told apart by their ids, whatever their content.
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
    has_own_ids: bool


def find_deliveries(
    landing: Path, stream: DeliveredStream, first: date, last: date, go_live_us: int | None
) -> tuple[list[Delivery], list[RefusedFile]]:
    """The files that feed the known days ``first`` to ``last``, and those whose sidecar cannot be used."""
    found: list[Delivery] = []
    refused: list[RefusedFile] = []
    whole = committed(landing)
    for landing_day in _landing_days(landing / stream.name):
        is_in_range = first <= landing_day <= last
        if go_live_us is None and not is_in_range:
            continue
        try:
            versions = history(landing, stream.name, landing_day, whole)
        except LandingError as error:
            if is_in_range:
                refused.append(_unusable(landing, stream.name, landing_day, error))
            continue
        imported = [file for file in versions if go_live_us is None or file.delivered_at_us < go_live_us]
        live = [file for file in versions if file not in imported]
        found += [_delivery(landing, file, file.day, is_imported=True) for file in standing(imported)]
        found += [_delivery(landing, file, day_of(file.delivered_at_us), is_imported=False) for file in live]
    chosen = [d for d in found if first <= d.known_day <= last]
    return sorted(chosen, key=lambda d: (d.known_day, d.file)), refused


def check_file(delivery: Delivery) -> pl.Schema:
    """Verify the bytes against the sidecar and read the header.

    Raises:
        FileRefused: naming the file and the rule.
    """
    try:
        data = delivery.path.read_bytes()
    except OSError as error:
        raise refuse(delivery, "unreadable_file", error.strerror or str(error)) from error
    if not data:
        raise refuse(delivery, "file_empty", "the file has no bytes")
    if sha256(data) != delivery.sha256:
        raise refuse(delivery, "sha256_mismatch", f"the {len(data)} bytes are not those that its sidecar describes")
    try:
        header = pl.read_parquet_schema(io.BytesIO(data))
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        raise refuse(delivery, "unreadable_parquet", first_line(error)) from error
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


def _delivery(landing: Path, file: LandingFile, known_day: date, is_imported: bool) -> Delivery:
    return Delivery(
        stream=file.stream,
        known_day=known_day,
        landing_day=file.day,
        file=file.path.relative_to(landing).as_posix(),
        path=file.path,
        version=file.version,
        sha256=file.sha256,
        rows=file.rows,
        delivered_at_us=file.delivered_at_us,
        is_imported=is_imported,
        has_own_ids=file.has_own_ids,
    )


def _unusable(landing: Path, stream: str, day: date, error: LandingError) -> RefusedFile:
    """A day whose files contradict one another: the landing rule is what the message ends with, in brackets."""
    match = re.fullmatch(r"(?P<message>.*) \[(?P<rule>\w+)\]", str(error), re.DOTALL)
    rule, message = (match["rule"], match["message"]) if match else ("landing_invalid", str(error))
    file, _, rest = message.removeprefix(f"{landing}/").partition(": ")
    return RefusedFile(stream, day, file, rule, None, rest or message)


def _landing_days(folder: Path) -> list[date]:
    """The days that have a folder; what is not named like a day holds no delivery."""
    found = []
    for entry in folder.iterdir() if folder.is_dir() else ():
        try:
            found.append(date.fromisoformat(entry.name))
        except ValueError:
            continue
    return sorted(found)
