"""The landing format: daily Parquet files with a sidecar, content-hashed and versioned (``docs/architecture.md``).

What belongs here: how landed files are listed and found. What must not: how they are written (``landing_writer``), what the
rows mean.

    <landing>/<stream>/<YYYY-MM-DD>/<NNNN>-<sha256[:12]>.parquet    and the same name with .json, the sidecar
    <landing>/deliveries/<NNNNNN>.json                              a delivery: all that a source handed over at once

**A day is the sum of its versions.** A version of mode ``replace`` is the whole day; one of mode ``append`` adds rows, and takes
the place of the rows whose ids it has. **A delivery is there or not.** A file of a delivery that is being written is not seen;
one without any record was put there by hand, and is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Literal

import msgspec

from returnml.contracts.columns import STREAMS
from returnml.errors import Refusal
from returnml.files import UNDECODABLE

Mode = Literal["append", "replace"]

PENDING = "pending.json"
"""The record of a delivery that is being written, or that a kill has cut short: none of its files is seen."""

_NAME = re.compile(r"(?P<version>\d{4,})-(?P<digest>[0-9a-f]{12})\.(?P<kind>parquet|json)")
_RECORD = re.compile(r"(?P<delivery>\d{6,})\.json")


class LandingError(Refusal):
    """A landing folder that cannot be read unambiguously; the message names the file and the rule it breaks."""


class Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a delivery did, in rows as the source handed them over; ``lost`` in ids.

    Attributes:
        new: of ids that were not there.
        replaced: of ids that were there with other values, or on another day.
        unchanged: that were there already, and are not written again.
        lost: ids that were there and are there no more.
    """

    new: int = 0
    replaced: int = 0
    unchanged: int = 0
    lost: int = 0

    def __add__(self, other: Changes) -> Changes:
        own, others = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Changes(*(a + b for a, b in zip(own, others, strict=True)))


class Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sidecar's content, in the order in which it is written. Older ones end after ``delivered_at_us``.

    Attributes:
        version: counts from 1 within the day.
        sha256: hex digest of the Parquet file's bytes.
        rows: in the file.
        source: where the rows came from, for people.
        delivered_at_us: microseconds since the epoch (UTC).
        mode: ``replace``: the file is the whole day; ``append``: it adds to the versions before it.
        delivery: number of the delivery's record; none in older files.
        has_own_ids: the source's ids tell its rows apart; else they were made from a row's place in its file.
        changes: what the delivery did to this day.
    """

    stream: str
    day: date
    version: int
    sha256: str
    rows: int
    source: str
    delivered_at_us: int
    mode: Mode = "replace"
    delivery: int | None = None
    has_own_ids: bool = False
    changes: Changes | None = None


class LandingFile(Sidecar, frozen=True, forbid_unknown_fields=False):
    """One version of one day of one stream: its sidecar, and where it is."""

    path: Path = Path()


class StreamRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a delivery brought of one stream; ``digest`` is of the rows' content, where the source has no ids of its own."""

    stream: str
    rows: int
    changes: Changes
    digest: str | None = None


class DeliveryRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a source handed over at once.

    Attributes:
        delivery: counts from 1.
        replaced: the period that was replaced, in words; none for an append.
        files: ``<stream>/<day>/<version>`` of each.
    """

    delivery: int
    source: str
    delivered_at_us: int
    replaced: str | None
    streams: tuple[StreamRecord, ...]
    files: tuple[str, ...]


def records(landing: Path) -> list[DeliveryRecord]:
    """All deliveries, in their order.

    Raises:
        LandingError: naming a record that cannot be read.
    """
    folder = landing / "deliveries"
    return [read_record(folder / f"{number:06d}.json") for number in sorted(committed(landing))]


def read_record(path: Path) -> DeliveryRecord:
    """One record, finished or pending.

    Raises:
        LandingError: where it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=DeliveryRecord)
    except UNDECODABLE as error:
        raise LandingError(f"{path}: {error} [delivery_record]") from error


def committed(landing: Path) -> frozenset[int]:
    """The numbers of the deliveries that are there as a whole."""
    folder = landing / "deliveries"
    names = os.listdir(folder) if folder.is_dir() else []
    return frozenset(int(match["delivery"]) for name in names if (match := _RECORD.fullmatch(name)))


def days(landing: Path, stream_name: str) -> list[date]:
    """The days of a stream that have a delivery, ascending.

    Raises:
        LandingError: naming a folder whose name is no day, or a record that cannot be read.
    """
    folder = landing / _known(stream_name)
    if not folder.exists():
        return []
    try:
        unfinished = set(read_record(landing / "deliveries" / PENDING).files)
    except FileNotFoundError:
        unfinished = set()
    found = []
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        day = _day_of(Path(entry.path))
        if any(
            name.endswith(".parquet")
            and not name.startswith(".")
            and f"{stream_name}/{day}/{name.partition('-')[0]}" not in unfinished
            for name in os.listdir(entry.path)
        ):
            found.append(day)
    return sorted(found)


def history(
    landing: Path, stream_name: str, day: date | None = None, deliveries: Collection[int] | None = None
) -> list[LandingFile]:
    """All versions of one day, or of all days, by day and version.

    The files' bytes are not read: who loads one compares them with ``sha256``.

    Args:
        deliveries: those that count; by default all that are committed. One set for many days is one state of them.

    Raises:
        LandingError: naming the file, where two files claim one version, a file lacks its sidecar or a sidecar its
            file, a name is not of the format, or a sidecar contradicts the name or place of its file.
    """
    seen = committed(landing) if deliveries is None else deliveries
    wanted = days(landing, stream_name) if day is None else [day]
    return [f for d in wanted for f in _versions(landing / _known(stream_name) / d.isoformat(), stream_name, d, seen)]


def standing(versions: list[LandingFile]) -> list[LandingFile]:
    """Of the versions of one day, in order, those that make it up: the last that replaced it, and what was appended since."""
    last = max((at for at, file in enumerate(versions) if file.mode == "replace"), default=0)
    return versions[last:]


def _versions(folder: Path, stream_name: str, day: date, deliveries: Collection[int]) -> list[LandingFile]:
    if not folder.is_dir():
        return []
    names = sorted(os.listdir(folder))
    final = [name for name in names if not name.startswith(".")]
    found: dict[int, LandingFile] = {}
    for name in final:
        match = _NAME.fullmatch(name)
        if match is None:
            raise LandingError(f"{folder / name}: the name is not <NNNN>-<12 hex digits>.parquet or .json [landing_file_name]")
        path = folder / name
        twin = path.with_suffix(".json" if match["kind"] == "parquet" else ".parquet")
        if twin.name not in final:
            if match["kind"] == "json" and temporary(twin).name in names:
                continue
            raise LandingError(f"{path}: {twin.name} is missing beside it [landing_pair]")
        if match["kind"] == "json":
            continue
        file = _read_sidecar(twin, path)
        expected = (stream_name, day, int(match["version"]), match["digest"])
        if (file.stream, file.day, file.version, file.sha256[:12]) != expected:
            raise LandingError(f"{twin}: its stream, day, version or hash contradicts its name or place [landing_sidecar]")
        if file.delivery is not None and file.delivery not in deliveries and _is_unfinished(folder.parents[1], file.delivery):
            continue
        if file.version in found:
            raise LandingError(f"{path}: {found[file.version].path.name} claims version {file.version} too [landing_version]")
        found[file.version] = file
    return [found[version] for version in sorted(found)]


def _is_unfinished(landing: Path, delivery: int) -> bool:
    """Whether a delivery that was not whole a moment ago is being written, or has become whole since: looked at in this order."""
    folder = landing / "deliveries"
    try:
        if read_record(folder / PENDING).delivery == delivery:
            return True
    except FileNotFoundError:
        pass
    return (folder / f"{delivery:06d}.json").exists()


def _read_sidecar(sidecar: Path, path: Path) -> LandingFile:
    try:
        content = msgspec.json.decode(sidecar.read_bytes(), type=Sidecar)
    except UNDECODABLE as error:
        raise LandingError(f"{sidecar}: {error} [landing_sidecar]") from error
    return landing_file(content, path)


def landing_file(sidecar: Sidecar, path: Path) -> LandingFile:
    """A version from its sidecar."""
    return LandingFile(**{name: getattr(sidecar, name) for name in sidecar.__struct_fields__}, path=path)


def temporary(path: Path) -> Path:
    """The hidden name that a file has until it is whole."""
    return path.with_name(f".{path.name}.tmp")


def _known(stream_name: str) -> str:
    if stream_name not in STREAMS:
        raise LandingError(f"stream {stream_name!r}: expected one of {', '.join(STREAMS)} [landing_stream]")
    return stream_name


def _day_of(folder: Path) -> date:
    try:
        day = date.fromisoformat(folder.name)
    except ValueError as error:
        raise LandingError(f"{folder}: the name is no day YYYY-MM-DD [landing_day]") from error
    if day.isoformat() != folder.name or not folder.is_dir():
        raise LandingError(f"{folder}: is no folder named YYYY-MM-DD [landing_day]")
    return day
