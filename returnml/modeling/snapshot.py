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
from returnml.policy.document import SEGMENT_COLUMNS
from returnml.release.files import sync_folder, write_synced
from returnml.settings import LabelSettings

LINES_FILE = "lines.parquet"
FEATURES_FILE = "features.parquet"
MANIFEST_FILE = "manifest.json"

LINE_COLUMNS: dict[str, pl.DataType] = {
    "line_id": pl.String(),
    "order_id": pl.String(),
    "customer_id": pl.String(),
    "article_id": pl.String(),
    "ordered_at": pl.Datetime("us"),
    "requested_at": pl.Datetime("us"),
    "returned": pl.Int8(),
    "return_known_at": pl.Datetime("us"),
    "line_value_cents": pl.Int64(),
    "currency": pl.String(),
    **{name: pl.String() for name in SEGMENT_COLUMNS},
}
"""What a line carries besides its features. ``return_known_at``: of the first return that counts; null without one."""


class SnapshotError(Exception):
    """A snapshot that cannot be made or used; the message says why."""


class SnapshotManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the lines are. Nothing here depends on when or where the snapshot was made.

    Attributes:
        cut_off_us: labels known at or before this instant were used, later ones not.
        vectors: how many are ``logged``, as the service computed them, and how many ``recomputed`` in batch.
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
    vectors: dict[str, int]
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
        return pl.read_parquet(self.path / LINES_FILE)

    def matrix(self) -> np.ndarray:
        """The features, float32, shape (rows, features), C order; missing is NaN. Rows as in ``lines``."""
        return pl.read_parquet(self.path / FEATURES_FILE).to_numpy(order="c")


def write_snapshot(
    lines: pl.DataFrame,
    features: pl.DataFrame,
    feature_set: FeatureSet,
    cut_off_us: int,
    label: LabelSettings,
    training_root: Path,
    logged: int = 0,
) -> Snapshot:
    """Write the snapshot of these lines, or return the equal one that is already there (then nothing is written).

    Args:
        lines: ``LINE_COLUMNS``; any row order.
        features: one column per feature, rows as in ``lines``. (Apart, as a feature may be named like a line's column.)
        feature_set: the declarations that the features were computed from.
        cut_off_us: microseconds since the epoch.
        label: the label rule of column ``returned``.
        training_root: the folder of all snapshots.
        logged: how many of the vectors are those that the service computed.

    Raises:
        SnapshotError: without lines, without an absent column, or with a line twice.
    """
    for frame, names in ((lines, LINE_COLUMNS), (features, feature_set.outputs)):
        absent = [name for name in names if name not in frame.columns]
        if absent:
            raise SnapshotError(f"training snapshot: no column {absent[0]!r}; missing is not zero")
    if lines.is_empty():
        raise SnapshotError("training snapshot: no mature line up to the cut-off")
    lines, features = _canonical(lines, features.select(feature_set.outputs))
    if lines["line_id"].n_unique() != lines.height:
        twice = lines.filter(pl.col("line_id").is_duplicated())["line_id"][0]
        raise SnapshotError(f"training snapshot: line {twice!r} is in it twice")
    ordered_us = lines["ordered_at"].to_physical()
    manifest = SnapshotManifest(
        feature_set=feature_set.name,
        feature_set_hash=feature_set.hash,
        features=list(feature_set.outputs),
        cut_off_us=cut_off_us,
        label=label,
        rows=lines.height,
        returned=int(lines["returned"].cast(pl.Int64).sum()),
        first_ordered_at_us=int(ordered_us[0]),
        last_ordered_at_us=int(ordered_us[-1]),
        vectors={"logged": logged, "recomputed": lines.height - logged},
    )
    manifest = msgspec.structs.replace(manifest, content_sha256=_content_sha256(lines, features, manifest))
    target = training_root / manifest.content_sha256[:32]
    if not target.exists():
        _write(lines, features, manifest, target)
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
    lines, features = _canonical(snapshot.lines(), pl.read_parquet(snapshot.path / FEATURES_FILE))
    found = _content_sha256(lines, features, msgspec.structs.replace(snapshot.manifest, content_sha256=""))
    if found != snapshot.hash:
        raise SnapshotError(f"{snapshot.path}: rows of hash {found[:12]}, expected {snapshot.hash[:12]}")


def _canonical(lines: pl.DataFrame, features: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One order, one type, one bit pattern for missing: so that equal content has equal bytes."""
    lines = lines.select(pl.col(name).cast(dtype) for name, dtype in LINE_COLUMNS.items())
    order = lines.select(pl.arg_sort_by("ordered_at", "line_id")).to_series()
    missing = float("nan")
    return lines[order], features.select(pl.all().cast(pl.Float32).fill_null(missing).fill_nan(missing))[order]


def _content_sha256(lines: pl.DataFrame, features: pl.DataFrame, manifest: SnapshotManifest) -> str:
    digest = hashlib.sha256(msgspec.json.encode(manifest, order="sorted"))
    for column in [*lines.iter_columns(), *features.iter_columns()]:
        if column.dtype == pl.String:
            digest.update(column.str.len_bytes().fill_null(2**32 - 1).to_numpy().tobytes())
            digest.update("".join(column.fill_null("").to_list()).encode())
        else:
            digest.update(column.to_physical().to_numpy().tobytes())
    return digest.hexdigest()


def _write(lines: pl.DataFrame, features: pl.DataFrame, manifest: SnapshotManifest, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".snapshot-", dir=target.parent))
    try:
        lines.write_parquet(temporary / LINES_FILE, compression="zstd", compression_level=3)
        features.write_parquet(temporary / FEATURES_FILE, compression="zstd", compression_level=3)
        write_synced(temporary / MANIFEST_FILE, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        sync_folder(temporary)
        temporary.chmod(0o755)
        os.replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(target.parent)
