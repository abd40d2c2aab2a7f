"""Training snapshots: an immutable folder of a task's mature rows, and of those that are younger, named after the hash of
what is in it.

Belongs here: the files of a snapshot. Must not be here: which rows are mature (``warehouse.training`` asks the tables).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from returnml.errors import Refusal
from returnml.files import (
    UNDECODABLE,
    new_folder,
    readable_json,
)
from returnml.release.plain import NotPlain, plain, plain_files, read_plain
from returnml.settings import LabelSettings
from returnml.tasks.declaration import FACT_COLUMNS, Sampling, Task

ROWS_FILE = "rows.parquet"
FEATURES_FILE = "features.parquet"
YOUNG_ROWS_FILE = "young_rows.parquet"
YOUNG_FEATURES_FILE = "young_features.parquet"
FRAME_FILES = (ROWS_FILE, FEATURES_FILE, YOUNG_ROWS_FILE, YOUNG_FEATURES_FILE)
MANIFEST_FILE = "manifest.json"

ROW_COLUMNS: dict[str, pl.DataType] = {
    "row_id": pl.String(),
    "anchor_at": pl.Datetime("us"),
    "requested_at": pl.Datetime("us"),
    "label": pl.Int8(),
    "label_known_at": pl.Datetime("us"),
    "value_cents": pl.Int64(),
    **{name: pl.String() for name in FACT_COLUMNS},
}
"""What a row carries besides its features. ``anchor_at``: when the label's window began. ``label_known_at``: when a label of 1
was first known; null where it is 0."""


def row_columns(task: Task) -> dict[str, pl.DataType]:
    """``ROW_COLUMNS``, and the protected attributes of the task's rows, as texts."""
    return ROW_COLUMNS | {a.name: pl.String() for a in task.protected}


_OF_LABELS = ("label", "label_known_at")
YOUNG_COLUMNS: dict[str, pl.DataType] = {name: dtype for name, dtype in ROW_COLUMNS.items() if name not in _OF_LABELS}
"""Of a row that is younger than every mature one: it has no label yet."""


class SnapshotError(Refusal):
    """A snapshot that cannot be made or used; the message says why."""


class SnapshotManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rows are. Nothing here depends on when or where the snapshot was made.

    Attributes:
        label: the task's rule: what its window and grace are.
        young: rows anchored after the last mature one, evenly spread over them where there are many.
        positives: rows with label 1.
        sampling: which days' rows they are; None: all.
        cut_off_us: labels known at or before this instant were used, later ones not.
        vectors: how many are ``logged``, as the service computed them, and how many ``recomputed`` in batch.
        content_sha256: of the rows, column by column, and of every field here but itself; the folder's name.
    """

    task: str
    feature_set: str
    feature_set_hash: str
    features: list[str]
    cut_off_us: int
    label: LabelSettings
    rows: int
    young: int
    positives: int
    first_anchor_us: int
    last_anchor_us: int
    vectors: dict[str, int]
    sampling: Sampling | None
    content_sha256: str = ""


@dataclass(frozen=True)
class Rows:
    """Rows without a label.

    Attributes:
        table: ``YOUNG_COLUMNS``, ordered by (anchor_at, row_id).
        x: features, float32, shape (rows, features).
    """

    table: pl.DataFrame
    x: np.ndarray


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
        """Share of rows with label 1."""
        return self.manifest.positives / self.manifest.rows

    def table(self) -> pl.DataFrame:
        """``row_columns`` of every row, ordered by (anchor_at, row_id)."""
        return pl.read_parquet(self.path / ROWS_FILE, glob=False)

    def matrix(self) -> np.ndarray:
        """The features, float32, shape (rows, features), C order; missing is NaN. Rows as in ``table``."""
        return pl.read_parquet(self.path / FEATURES_FILE, glob=False).to_numpy(order="c")

    def young(self) -> Rows:
        """The rows that are younger than every mature one, as of the cut-off."""
        features = pl.read_parquet(self.path / YOUNG_FEATURES_FILE, glob=False)
        return Rows(pl.read_parquet(self.path / YOUNG_ROWS_FILE, glob=False), features.to_numpy(order="c"))


def write_snapshot(
    table: pl.DataFrame,
    features: pl.DataFrame,
    young: tuple[pl.DataFrame, pl.DataFrame],
    task: Task,
    cut_off_us: int,
    label: LabelSettings,
    training_root: Path,
    logged: int = 0,
) -> Snapshot:
    """Write the snapshot of these rows, or return the equal one that is already there (then nothing is written).

    Args:
        table: ``row_columns``; any row order.
        features: one column per feature, rows as in ``table``. (Apart, as a feature may be named like a row's column.)
        young: ``YOUNG_COLUMNS`` and features of rows that are younger than every one of ``table``.
        task: whose rows these are, with the declarations that the features were computed from.
        cut_off_us: microseconds since the epoch.
        label: the task's rule of column ``label``.
        training_root: the folder of all snapshots.
        logged: how many of the vectors are those that the service computed.

    Raises:
        SnapshotError: without rows, with a column absent, or with a row twice.
    """
    feature_set = task.feature_set
    own = row_columns(task)
    parts = ((table, own), (features, feature_set.outputs), (young[0], YOUNG_COLUMNS), (young[1], feature_set.outputs))
    for frame, names in parts:
        absent = [name for name in names if name not in frame.columns]
        if absent:
            raise SnapshotError(f"training snapshot: no column {absent[0]!r}; missing is not zero")
    if table.is_empty():
        raise SnapshotError("training snapshot: no mature row up to the cut-off")
    table, features = _canonical(table, features.select(feature_set.outputs), own)
    young = _canonical(young[0], young[1].select(feature_set.outputs), YOUNG_COLUMNS)
    row_ids = pl.concat([table["row_id"], young[0]["row_id"]])
    if row_ids.n_unique() != len(row_ids):
        raise SnapshotError(f"training snapshot: row {row_ids.filter(row_ids.is_duplicated())[0]!r} is in it twice")
    anchor_us = table["anchor_at"].to_physical()
    manifest = SnapshotManifest(
        task=task.name,
        feature_set=feature_set.name,
        feature_set_hash=feature_set.hash,
        features=list(feature_set.outputs),
        cut_off_us=cut_off_us,
        label=label,
        rows=table.height,
        young=young[0].height,
        positives=int(table["label"].cast(pl.Int64).sum()),
        first_anchor_us=int(anchor_us[0]),
        last_anchor_us=int(anchor_us[-1]),
        vectors={"logged": logged, "recomputed": table.height - logged},
        sampling=task.spine.sampling,
    )
    frames = (table, features, *young)
    manifest = msgspec.structs.replace(manifest, content_sha256=_content_sha256(frames, manifest))
    target = training_root / manifest.content_sha256[:32]
    if not target.exists():
        _write(frames, manifest, target)
    return read_snapshot(target)


def snapshot_folder(training_root: Path, name: str) -> Path:
    """Where a snapshot of this name lies: what a manifest names is looked for nowhere else.

    Raises:
        SnapshotError: for what is no name of a snapshot.
    """
    try:
        return training_root / plain(name)
    except NotPlain as error:
        raise SnapshotError(f"{training_root}: a snapshot is asked for by {error}") from error


def read_snapshot(path: Path) -> Snapshot:
    """Open a snapshot.

    Raises:
        SnapshotError: if its manifest cannot be read or is of another folder, or the folder holds anything but a snapshot's own
            plain files.
    """
    file = path / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(read_plain(path, MANIFEST_FILE), type=SnapshotManifest)
        foreign = sorted(set(plain_files(path)) - {MANIFEST_FILE, *FRAME_FILES})
    except OSError as error:
        raise SnapshotError(f"{file}: {error.strerror}") from error
    except UNDECODABLE as error:
        raise SnapshotError(f"{file}: {error}") from error
    except NotPlain as error:
        raise SnapshotError(f"{error}: a snapshot holds plain files only") from error
    if foreign:
        raise SnapshotError(f"{path / foreign[0]}: no file of a snapshot")
    if not manifest.content_sha256.startswith(path.name):
        raise SnapshotError(f"{file}: is of snapshot {manifest.content_sha256[:32]}")
    return Snapshot(path, manifest)


def verify_snapshot(snapshot: Snapshot) -> None:
    """Recompute the content hash.

    Raises:
        SnapshotError: if the rows cannot be read, or are not those that the manifest was made for.
    """
    try:
        rows, features, young_rows, young_features = (pl.read_parquet(snapshot.path / name, glob=False) for name in FRAME_FILES)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SnapshotError(f"{snapshot.path}: its rows cannot be read: {error}") from error
    own = {name: ROW_COLUMNS.get(name, pl.String()) for name in rows.columns}
    frames = (*_canonical(rows, features, own), *_canonical(young_rows, young_features, YOUNG_COLUMNS))
    found = _content_sha256(frames, msgspec.structs.replace(snapshot.manifest, content_sha256=""))
    if found != snapshot.hash:
        raise SnapshotError(f"{snapshot.path}: its rows are not those that its manifest was made for")


def _canonical(
    table: pl.DataFrame, features: pl.DataFrame, columns: Mapping[str, pl.DataType]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One order, one type, one bit pattern for missing: so that equal content has equal bytes."""
    table = table.select(pl.col(name).cast(dtype) for name, dtype in columns.items())
    order = table.select(pl.arg_sort_by("anchor_at", "row_id")).to_series()
    missing = float("nan")
    return table[order], features.select(pl.all().cast(pl.Float32).fill_null(missing).fill_nan(missing))[order]


def _content_sha256(frames: Iterable[pl.DataFrame], manifest: SnapshotManifest) -> str:
    digest = hashlib.sha256(msgspec.json.encode(manifest, order="sorted"))
    for column in (column for frame in frames for column in frame.iter_columns()):
        if column.dtype == pl.String:
            digest.update(column.str.len_bytes().fill_null(2**32 - 1).to_numpy().tobytes())
            digest.update("".join(column.fill_null("").to_list()).encode())
        else:
            digest.update(column.to_physical().to_numpy().tobytes())
    return digest.hexdigest()


def _write(frames: Iterable[pl.DataFrame], manifest: SnapshotManifest, target: Path) -> None:
    with new_folder(target) as folder:
        for name, frame in zip(FRAME_FILES, frames, strict=True):
            frame.write_parquet(folder / name, compression="zstd", compression_level=3)
        (folder / MANIFEST_FILE).write_bytes(readable_json(manifest))
