"""Training snapshots: an immutable folder of mature lines, named after the hash of what is in it.

Belongs here: the files of a snapshot. Must not be here: which lines are mature (``warehouse.training`` asks the tables).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from returnml.features.declarations import FeatureSet
from returnml.release.files import sync_folder, write_synced
from returnml.settings import LabelSettings

LINES_FILE = "lines.parquet"
MANIFEST_FILE = "manifest.json"

LINE_COLUMNS: dict[str, pl.DataType] = {
    "line_id": pl.String(),
    "order_id": pl.String(),
    "customer_id": pl.String(),
    "article_id": pl.String(),
    "ordered_at": pl.Datetime("us"),
    "requested_at": pl.Datetime("us"),
    "returned": pl.Int8(),
    "line_value_cents": pl.Int64(),
    "currency": pl.String(),
}
"""What a line carries besides its features."""


class SnapshotError(Exception):
    """A snapshot that cannot be made or used; the message says why."""


class SnapshotManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the lines are. Nothing here depends on when or where the snapshot was made.

    Attributes:
        cut_off_us: labels known at or before this instant were used, later ones not.
        content_sha256: of the rows, column by column, and of every field here but itself; the folder's name.
    """

    feature_set: str
    feature_set_hash: str
    features: list[str]
    cut_off_us: int
    label: LabelSettings
    rows: int
    returned: int
    first_ordered_at_us: int
    last_ordered_at_us: int
    content_sha256: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot on disk."""

    path: Path
    manifest: SnapshotManifest

    @property
    def hash(self) -> str:
        return self.manifest.content_sha256

    @property
    def rows(self) -> int:
        return self.manifest.rows

    @property
    def base_rate(self) -> float:
        """Share of lines that came back."""
        return self.manifest.returned / self.manifest.rows

    def lines(self) -> pl.DataFrame:
        """``LINE_COLUMNS`` of every line, ordered by (ordered_at, line_id)."""
        return pl.read_parquet(self.path / LINES_FILE, columns=list(LINE_COLUMNS))

    def matrix(self) -> np.ndarray:
        """The features, float32, shape (rows, features), C order; missing is NaN. Rows as in ``lines``."""
        frame = pl.read_parquet(self.path / LINES_FILE, columns=self.manifest.features)
        out = np.empty((frame.height, frame.width), np.float32)
        for j, column in enumerate(frame.iter_columns()):
            out[:, j] = column.to_numpy()
        return out


def write_snapshot(
    frame: pl.DataFrame, feature_set: FeatureSet, cut_off_us: int, label: LabelSettings, training_root: Path
) -> Snapshot:
    """Write the snapshot of these lines, or return the equal one that is already there (then nothing is written).

    Args:
        frame: ``LINE_COLUMNS`` and one column per feature; any row order.
        feature_set: the declarations that the feature columns were computed from.
        cut_off_us: microseconds since the epoch.
        label: the label rule of column ``returned``.
        training_root: the folder of all snapshots.

    Raises:
        SnapshotError: without lines, without an absent column, or with a line twice.
    """
    features = list(feature_set.outputs)
    absent = [name for name in [*LINE_COLUMNS, *features] if name not in frame.columns]
    if absent:
        raise SnapshotError(f"training snapshot: no column {absent[0]!r}; missing is not zero")
    if frame.is_empty():
        raise SnapshotError("training snapshot: no mature line up to the cut-off")
    frame = _canonical(frame, features)
    if frame["line_id"].n_unique() != frame.height:
        twice = frame.filter(pl.col("line_id").is_duplicated())["line_id"][0]
        raise SnapshotError(f"training snapshot: line {twice!r} is in it twice")
    ordered_us = frame["ordered_at"].to_physical()
    manifest = SnapshotManifest(
        feature_set=feature_set.name,
        feature_set_hash=feature_set.hash,
        features=features,
        cut_off_us=cut_off_us,
        label=label,
        rows=frame.height,
        returned=int(frame["returned"].cast(pl.Int64).sum()),
        first_ordered_at_us=int(ordered_us[0]),
        last_ordered_at_us=int(ordered_us[-1]),
    )
    manifest = msgspec.structs.replace(manifest, content_sha256=_content_sha256(frame, manifest))
    target = training_root / manifest.content_sha256[:32]
    if not target.exists():
        _write(frame, manifest, target)
    return read_snapshot(target)


def read_snapshot(path: Path) -> Snapshot:
    """Open a snapshot.

    Raises:
        SnapshotError: if its manifest cannot be read or is of another folder.
    """
    file = path / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(file.read_bytes(), type=SnapshotManifest)
    except OSError as error:
        raise SnapshotError(f"{file}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise SnapshotError(f"{file}: {error}") from error
    if not manifest.content_sha256.startswith(path.name):
        raise SnapshotError(f"{file}: is of snapshot {manifest.content_sha256[:32]}")
    return Snapshot(path, manifest)


def verify_snapshot(snapshot: Snapshot) -> None:
    """Recompute the content hash.

    Raises:
        SnapshotError: if the rows are not those that the manifest was made for.
    """
    frame = _canonical(pl.read_parquet(snapshot.path / LINES_FILE), snapshot.manifest.features)
    found = _content_sha256(frame, msgspec.structs.replace(snapshot.manifest, content_sha256=""))
    if found != snapshot.hash:
        raise SnapshotError(f"{snapshot.path / LINES_FILE}: rows of hash {found[:12]}, expected {snapshot.hash[:12]}")


def _canonical(frame: pl.DataFrame, features: list[str]) -> pl.DataFrame:
    """One order, one type, one bit pattern for missing: so that equal content has equal bytes."""
    return frame.select(
        *(pl.col(name).cast(dtype) for name, dtype in LINE_COLUMNS.items()),
        *(pl.col(name).cast(pl.Float32).fill_null(float("nan")).fill_nan(float("nan")) for name in features),
    ).sort("ordered_at", "line_id")


def _content_sha256(frame: pl.DataFrame, manifest: SnapshotManifest) -> str:
    digest = hashlib.sha256(msgspec.json.encode(manifest, order="sorted"))
    for column in frame.iter_columns():
        if column.dtype == pl.String:
            digest.update(column.str.len_bytes().fill_null(2**32 - 1).to_numpy().tobytes())
            digest.update("".join(column.fill_null("").to_list()).encode())
        else:
            digest.update(column.to_physical().to_numpy().tobytes())
    return digest.hexdigest()


def _write(frame: pl.DataFrame, manifest: SnapshotManifest, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".snapshot-", dir=target.parent))
    try:
        frame.write_parquet(temporary / LINES_FILE, compression="zstd", compression_level=3)
        write_synced(temporary / MANIFEST_FILE, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        sync_folder(temporary)
        temporary.chmod(0o755)
        os.replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(target.parent)
