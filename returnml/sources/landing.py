"""The landing format: daily Parquet files with a sidecar, content-hashed and versioned (``docs/architecture.md``).

What belongs here: how a delivered day is written, listed and found. What must not: what the rows mean.

    <landing>/<stream>/<YYYY-MM-DD>/<NNNN>-<sha256[:12]>.parquet    and the same name with .json, the sidecar

**Killed at any moment, a reader sees the old state or the new one.** Both files are first written in full under their
hidden temporary names; then the sidecar takes its final name, then the Parquet file. A sidecar whose Parquet file still
has its temporary name is therefore a delivery in progress, not an error: readers pass over it and the next writer clears it.
"""

from __future__ import annotations

import io
import os
import re
from datetime import date
from pathlib import Path

import msgspec
import polars as pl

from returnml.clock import Clock
from returnml.contracts.columns import STREAMS, DeliveredStream
from returnml.files import (
    UNDECODABLE,
    locked,
    sha256,
    sync_folder,
    write_synced,
)
from returnml.sources.delivered_frame import to_delivered

_NAME = re.compile(r"(?P<version>\d{4,})-(?P<digest>[0-9a-f]{12})\.(?P<kind>parquet|json)")
_ROWS_PER_GROUP = 131_072


class LandingError(ValueError):
    """A landing folder that cannot be read unambiguously; the message names the file and the rule it breaks."""


class _Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sidecar's content, in the order in which it is written."""

    stream: str
    day: date
    version: int
    sha256: str
    rows: int
    source: str
    delivered_at_us: int


class LandingFile(msgspec.Struct, frozen=True):
    """One delivered version of one day of one stream.

    Attributes:
        version: counts from 1; the highest is the current one.
        sha256: hex digest of the Parquet file's bytes.
        source: where the rows came from, for people.
        delivered_at_us: microseconds since the epoch (UTC).
    """

    stream: str
    day: date
    version: int
    sha256: str
    rows: int
    source: str
    delivered_at_us: int
    path: Path


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


def write_day(
    landing: Path, stream: DeliveredStream, day: date, frame: pl.DataFrame, source: str, clock: Clock
) -> LandingFile | None:
    """Deliver one day of a stream as its next version.

    Args:
        frame: the day's rows, see :func:`parquet_bytes`; no rows is a valid delivery ("nothing happened").

    Returns:
        The new version, or ``None`` where the current version has the very same bytes.

    Raises:
        LandingError: if the day's folder is not readable unambiguously.
        ValueError: if the frame does not fit the stream.
    """
    content = parquet_bytes(stream, frame)
    digest = sha256(content)
    folder = landing / stream.name / day.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(landing / ".lock"):
        versions = _versions(folder, stream.name, day)
        if versions and versions[-1].sha256 == digest:
            return None
        _clear_unfinished(folder)
        version = versions[-1].version + 1 if versions else 1
        sidecar = _Sidecar(stream.name, day, version, digest, frame.height, source, clock.now_us())
        path = folder / f"{version:04d}-{digest[:12]}.parquet"
        meta = path.with_suffix(".json")
        write_synced(_temporary(path), content)
        write_synced(_temporary(meta), msgspec.json.format(msgspec.json.encode(sidecar)) + b"\n")
        os.replace(_temporary(meta), meta)
        os.replace(_temporary(path), path)
        sync_folder(folder)
    return LandingFile(**msgspec.structs.asdict(sidecar), path=path)


def days(landing: Path, stream_name: str) -> list[date]:
    """The days of a stream that have a delivery, ascending.

    Raises:
        LandingError: naming a folder whose name is no day.
    """
    folder = landing / _known(stream_name)
    if not folder.exists():
        return []
    found = []
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        day = _day_of(Path(entry.path))
        if any(name.endswith(".parquet") and not name.startswith(".") for name in os.listdir(entry.path)):
            found.append(day)
    return sorted(found)


def history(landing: Path, stream_name: str, day: date | None = None) -> list[LandingFile]:
    """All versions of one day, or of all days, by day and version.

    Raises:
        LandingError: see :func:`current_file`.
    """
    wanted = days(landing, stream_name) if day is None else [day]
    return [file for d in wanted for file in _versions(landing / _known(stream_name) / d.isoformat(), stream_name, d)]


def current_file(landing: Path, stream_name: str, day: date) -> LandingFile | None:
    """The current version of a day, or ``None`` where nothing was delivered.

    The file's bytes are not read: who loads it compares them with ``sha256``.

    Raises:
        LandingError: naming the file, where two files claim one version, a file lacks its sidecar or a sidecar its
            file, a name is not of the format, or a sidecar contradicts the name or place of its file.
    """
    versions = history(landing, stream_name, day)
    return versions[-1] if versions else None


def _versions(folder: Path, stream_name: str, day: date) -> list[LandingFile]:
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
            if match["kind"] == "json" and _temporary(twin).name in names:
                continue
            raise LandingError(f"{path}: {twin.name} is missing beside it [landing_pair]")
        if match["kind"] == "json":
            continue
        file = _read_sidecar(twin, path)
        expected = (stream_name, day, int(match["version"]), match["digest"])
        if (file.stream, file.day, file.version, file.sha256[:12]) != expected:
            raise LandingError(f"{twin}: its stream, day, version or hash contradicts its name or place [landing_sidecar]")
        if file.version in found:
            raise LandingError(f"{path}: {found[file.version].path.name} claims version {file.version} too [landing_version]")
        found[file.version] = file
    return [found[version] for version in sorted(found)]


def _read_sidecar(sidecar: Path, path: Path) -> LandingFile:
    try:
        content = msgspec.json.decode(sidecar.read_bytes(), type=_Sidecar)
    except UNDECODABLE as error:
        raise LandingError(f"{sidecar}: {error} [landing_sidecar]") from error
    return LandingFile(**msgspec.structs.asdict(content), path=path)


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


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _clear_unfinished(folder: Path) -> None:
    """Remove what a killed writer left: the sidecar first, so that the remains never look like a damaged delivery."""
    unfinished = [folder / name for name in os.listdir(folder) if name.startswith(".") and name.endswith(".tmp")]
    for temporary in unfinished:
        if temporary.name.endswith(".parquet.tmp"):
            (folder / temporary.name[1:].replace(".parquet.tmp", ".json")).unlink(missing_ok=True)
    for temporary in unfinished:
        temporary.unlink(missing_ok=True)
