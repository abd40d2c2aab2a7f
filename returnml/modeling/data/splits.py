"""Temporal splits: train, calibration and hold-out by the anchors of the labels (of order lines: the order), and rolling origins.

What may overlap between parts is *knowledge*: a label anchored just before the hold-out was not known when the hold-out began.
Rows whose labels were open there are therefore purged, as far as the history is long enough. (No two order lines share the
events that decide their labels; rows of one customer at neighbouring cut-offs do.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from returnml.features.windows import DAY_US, floor_day
from returnml.instants import day_of
from returnml.settings import LabelSettings, TrainingSettings


class SplitError(ValueError):
    """Too little history for the split that was asked for."""


@dataclass(frozen=True)
class Split:
    """Row numbers (int64, ascending) of each part; those of the gap are ``purged``.

    Attributes:
        purged_days: length of the gap before the hold-out.
    """

    train: np.ndarray
    calibration: np.ndarray
    purged: np.ndarray
    holdout: np.ndarray
    holdout_start_us: int
    purged_days: int


def temporal_split(
    anchor_us: np.ndarray, *, calibration_days: int, holdout_days: int, maturity_days: int, overlap_days: int = 0
) -> Split:
    """Split rows by anchor at UTC days: train, calibration, gap, hold-out.

    The gap is the maturity of a label, so that the model could have been made when the hold-out began; for a shop whose
    history is too short for that, as much of it as leaves half of the days to training, but never less than rows need to
    share no label.

    Args:
        anchor_us: int64, shape (n,).
        calibration_days: length of the calibration part.
        holdout_days: length of the hold-out; its last day is the day of the last row.
        maturity_days: how long a label stays open (window and grace).
        overlap_days: how far apart rows must be to share nothing that decides their labels.

    Raises:
        SplitError: if the days left to train on are fewer than the calibration's, or a part has no row.
    """
    first, end = floor_day(int(anchor_us.min())), floor_day(int(anchor_us.max())) + DAY_US
    days = (end - first) // DAY_US
    purged_days = max(overlap_days, min(maturity_days, days // 2 - calibration_days - holdout_days))
    holdout_start = end - holdout_days * DAY_US
    calibration_end = holdout_start - purged_days * DAY_US
    calibration_start = calibration_end - calibration_days * DAY_US
    train_days = (calibration_start - first) // DAY_US
    if train_days < calibration_days:
        raise SplitError(
            f"{days} days of mature rows leave {max(train_days, 0)} to train on, beside {holdout_days} of hold-out and "
            f"{calibration_days} of calibration: {holdout_days + 2 * calibration_days + overlap_days} are needed (a label takes "
            f"{maturity_days} days more); land more history, or lower training.holdout_days and training.calibration_days"
        )
    split = Split(
        train=np.flatnonzero(anchor_us < calibration_start),
        calibration=np.flatnonzero((anchor_us >= calibration_start) & (anchor_us < calibration_end)),
        purged=np.flatnonzero((anchor_us >= calibration_end) & (anchor_us < holdout_start)),
        holdout=np.flatnonzero(anchor_us >= holdout_start),
        holdout_start_us=holdout_start,
        purged_days=purged_days,
    )
    for name in ("train", "calibration", "holdout"):
        if not len(getattr(split, name)):
            raise SplitError(
                f"no row for the {name} part: {days} days of mature rows, of which {holdout_days} are hold-out and "
                f"{calibration_days} calibration"
            )
    return split


def split_rows(table: pl.DataFrame, label: LabelSettings, overlap_days: int, training: TrainingSettings) -> Split:
    """The split of a snapshot's rows that the settings ask for.

    Raises:
        SplitError: see ``temporal_split``.
    """
    return temporal_split(
        table["anchor_at"].to_physical().to_numpy(),
        calibration_days=training.calibration_days,
        holdout_days=training.holdout_days,
        maturity_days=label.window_days + label.grace_days,
        overlap_days=overlap_days,
    )


@dataclass(frozen=True)
class Fold:
    """One rolling origin: train on what was mature at ``origin_us``, test on the rows anchored from there on."""

    origin_us: int
    train: np.ndarray
    test: np.ndarray


def rolling_origin(anchor_us: np.ndarray, origins_us: list[int], *, test_us: int, gap_us: int) -> list[Fold]:
    """Folds that repeat what would have been possible at each origin.

    Args:
        anchor_us: int64, shape (n,).
        origins_us: start of each test part.
        test_us: length of each test part.
        gap_us: rows anchored within this long before the origin are left out (their labels were open).

    Raises:
        SplitError: if a part of a fold is empty.
    """
    folds = []
    for origin in origins_us:
        train = np.flatnonzero(anchor_us < origin - gap_us)
        test = np.flatnonzero((anchor_us >= origin) & (anchor_us < origin + test_us))
        if not len(train) or not len(test):
            raise SplitError(
                f"the fold that tests from {day_of(origin)} on has {len(train)} rows to train on and {len(test)} to test on: "
                "land more history, or ask for fewer or shorter folds"
            )
        folds.append(Fold(origin, train, test))
    return folds


def development_folds(
    anchor_us: np.ndarray, split: Split, *, folds: int, test_days: int, maturity_days: int, overlap_days: int = 0
) -> list[Fold]:
    """Rolling origins in the training part of a split: to choose by, without a look at calibration or hold-out.

    The last test part ends where calibration begins, the others before it. Before each origin there is a gap as in
    ``temporal_split``: the maturity of a label, or as much of it as leaves half of the days to training, but never less than
    ``overlap_days``.

    Args:
        anchor_us: int64, shape (n,); ``split`` is of these.

    Returns:
        The folds, earliest first; their row numbers are those of ``anchor_us``.

    Raises:
        SplitError: if the training part has fewer days than twice the test parts', or a part has no row.
    """
    known = anchor_us[split.train]
    first, end = floor_day(int(known.min())), floor_day(int(known.max())) + DAY_US
    days = (end - first) // DAY_US
    if days < 2 * folds * test_days:
        raise SplitError(
            f"{days} days to train on are too few for {folds} folds of {test_days} test days, which need "
            f"{2 * folds * test_days}; lower tuning.folds or tuning.fold_days"
        )
    gap_days = max(overlap_days, min(maturity_days, days // 2 - folds * test_days))
    origins = [end - (folds - i) * test_days * DAY_US for i in range(folds)]
    found = rolling_origin(known, origins, test_us=test_days * DAY_US, gap_us=gap_days * DAY_US)
    return [Fold(fold.origin_us, split.train[fold.train], split.train[fold.test]) for fold in found]
