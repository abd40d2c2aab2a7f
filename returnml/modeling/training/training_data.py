"""A snapshot as training sees it: table, matrix and the parts of the split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from returnml.modeling.data.snapshot import (
    Snapshot,
    SnapshotError,
)
from returnml.modeling.data.splits import (
    Split,
    SplitError,
    split_rows,
)
from returnml.modeling.judging.evidence_gathering import holdout_of
from returnml.modeling.judging.gates.evidence import HoldOut
from returnml.settings import LabelSettings, TrainingSettings
from returnml.tasks.declaration import Task


@dataclass(frozen=True)
class TrainingData:
    """All variants of a candidate are trained, calibrated, chosen and shown on the same parts of it.

    Attributes:
        table: of the snapshot, see ``ROW_COLUMNS``.
        x: its features ``names``, float32, shape (rows, features).
        overlap_days: see ``Task``.
    """

    snapshot: Snapshot
    table: pl.DataFrame
    x: np.ndarray
    split: Split
    overlap_days: int

    @property
    def names(self) -> list[str]:
        return list(self.snapshot.manifest.features)

    @property
    def label(self) -> LabelSettings:
        return self.snapshot.manifest.label

    @cached_property
    def y(self) -> np.ndarray:
        """0 or 1, shape (rows,)."""
        return self.table["label"].to_numpy()

    @cached_property
    def anchor_us(self) -> np.ndarray:
        """int64, shape (rows,)."""
        return self.table["anchor_at"].to_physical().to_numpy()

    @cached_property
    def holdout(self) -> HoldOut:
        return holdout_of(self.table, self.x, self.split.holdout)


def training_data(snapshot: Snapshot, task: Task, training: TrainingSettings) -> TrainingData:
    """Read a snapshot and split it.

    Args:
        task: the question that the snapshot was made for.

    Raises:
        SnapshotError: if the snapshot is of another task or feature set.
        SplitError: if the history is too short for the configured split, or a part has only one label.
    """
    manifest, expected = snapshot.manifest, task.feature_set.hash
    if manifest.task != task.name:
        raise SnapshotError(f"{snapshot.path}: made for task {manifest.task}, not {task.name}")
    if manifest.feature_set_hash != expected:
        raise SnapshotError(f"{snapshot.path}: made with feature set {manifest.feature_set_hash[:12]}, not {expected[:12]}")
    table = snapshot.table()
    split = split_rows(table, manifest.label, task.overlap_days, training)
    data = TrainingData(snapshot, table, snapshot.matrix(), split, task.overlap_days)
    for name in ("train", "calibration", "holdout"):
        labels = data.y[getattr(data.split, name)]
        if labels.min() == labels.max():
            raise SplitError(
                f"the {name} part has {len(labels)} {task.words.rows}, all with label {labels[0]}: nothing can be learnt from, "
                "or measured on, one label; land more history"
            )
    return data
