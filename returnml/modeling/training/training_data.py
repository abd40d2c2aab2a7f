"""A snapshot as training sees it: table, matrix and the parts of the split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from returnml.modeling.data.snapshot import (
    Rows,
    Snapshot,
    SnapshotError,
)
from returnml.modeling.data.splits import (
    Split,
    SplitError,
    split_rows,
)
from returnml.modeling.judging.evaluation import Maturity, maturity_of
from returnml.modeling.judging.evidence_gathering import part_of
from returnml.modeling.judging.gates.evidence import HoldOut
from returnml.settings import LabelSettings, TrainingSettings
from returnml.tasks.declaration import Task


@dataclass(frozen=True)
class TrainingData:
    """All variants of a candidate are trained, calibrated, chosen and shown on the same parts of it.

    Attributes:
        table: of the snapshot, see ``ROW_COLUMNS``.
        x: its features ``names``, float32, shape (rows, features).
        overlap_days, flag_is_final: see ``Task``.
    """

    snapshot: Snapshot
    table: pl.DataFrame
    x: np.ndarray
    split: Split
    overlap_days: int
    flag_is_final: bool

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
    def maturity(self) -> Maturity:
        """Of the hold-out's labels, by what tells them: returns, whose news may take the grace, or flags alone."""
        known_at = self.table["label_known_at"].filter(self.table["label"] == 1)
        told_by_flags = self.flag_is_final and known_at.null_count() == len(known_at)
        return maturity_of(self.holdout.anchor_us, self.snapshot.manifest.cut_off_us, self.label, told_by_flags)

    @cached_property
    def young(self) -> Rows:
        """Rows younger than every mature one."""
        return self.snapshot.young()

    @cached_property
    def holdout(self) -> HoldOut:
        return part_of(self.table, self.x, self.split.holdout)


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
    data = TrainingData(
        snapshot, table, snapshot.matrix(), _learnable(split, table["label"].to_numpy()), task.overlap_days, task.flag_is_final
    )
    for name in ("train", "calibration", "holdout"):
        labels = data.y[getattr(data.split, name)]
        if not len(labels):
            raise SplitError(
                f"before none of the folds do the {task.words.rows} have both labels: nothing can be learnt from one label; land "
                "more history"
            )
        if labels.min() == labels.max():
            raise SplitError(
                f"the {name} part has {len(labels)} {task.words.rows}, all with label {labels[0]}: nothing "
                "can be learnt from, or measured on, one label; land more history"
            )
    return data


def _learnable(split: Split, y: np.ndarray) -> Split:
    """Without the folds whose training rows have one label alone."""
    return replace(split, folds=tuple(fold for fold in split.folds if y[fold.train].min() != y[fold.train].max()))
