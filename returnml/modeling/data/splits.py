"""Temporal splits by the anchors of the labels (of order lines: the order): rolling origins, and the hold-out after them.

What may overlap between parts is *knowledge*: a label anchored just before the hold-out was not known when the hold-out began.
Rows whose labels were open there are therefore purged, as far as the history is long enough. (No two order lines share the
events that decide their labels; rows of one customer at neighbouring cut-offs do.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from returnml.errors import Refusal
from returnml.features.windows import DAY_US, floor_day
from returnml.instants import day_of
from returnml.settings import LabelSettings, TrainingSettings


class SplitError(Refusal):
    """Too little history for the split that was asked for."""


@dataclass(frozen=True)
class Fold:
    """One rolling origin: what could have been done on that day. Row numbers, int64, ascending.

    Attributes:
        train: rows whose labels were mature at ``origin_us``.
        gap: those between, whose labels were open.
        test: rows anchored from there on.
    """

    origin_us: int
    train: np.ndarray
    gap: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Split:
    """The rolling origins of a history; the test part of the last is the hold-out.

    Attributes:
        folds: earliest first, their test parts one after the other. They are all in the training part of ``last``: what is
            chosen and calibrated by their scores was known when the hold-out began.
        fold_gap_days, purged_days: lengths of the gaps before each fold's test part and before the hold-out.
    """

    folds: tuple[Fold, ...]
    last: Fold
    fold_gap_days: int
    purged_days: int

    @property
    def origins(self) -> tuple[Fold, ...]:
        return (*self.folds, self.last)

    @property
    def train(self) -> np.ndarray:
        """What the model that is judged on the hold-out was trained on."""
        return self.last.train

    @property
    def calibration(self) -> np.ndarray:
        """The test parts of the folds."""
        return np.concatenate([np.empty(0, np.int64), *(fold.test for fold in self.folds)])

    @property
    def holdout(self) -> np.ndarray:
        return self.last.test

    @property
    def holdout_start_us(self) -> int:
        return self.last.origin_us

    @property
    def tested(self) -> np.ndarray:
        """The test parts of all origins."""
        return np.concatenate([fold.test for fold in self.origins])


def temporal_split(
    anchor_us: np.ndarray,
    *,
    calibration_days: int,
    folds: int,
    holdout_days: int,
    maturity_days: int,
    overlap_days: int = 0,
) -> Split:
    """Rolling origins by anchor at UTC days: train, gap, test parts of the folds; train, gap, hold-out.

    A gap is the maturity of a label, so that each model could have been made when its test part began. A history that is too
    short for all that was asked for leaves a third of its days to the first fold's training; of the rest, the hold-out's gap
    and the folds' gap get up to a third each of what is still there.

    Args:
        anchor_us: int64, shape (n,).
        calibration_days: length of all folds' test parts together, at most.
        folds: how many origins before the hold-out.
        holdout_days: length of the hold-out; its last day is the day of the last row.
        maturity_days: how long a label stays open (window and grace).
        overlap_days: how far apart rows must be to share nothing that decides their labels; the hold-out's gap is never less.

    Raises:
        SplitError: if the days do not suffice for two in each fold, or a part has no row.
    """
    first, end = floor_day(int(anchor_us.min())), floor_day(int(anchor_us.max())) + DAY_US
    days = (end - first) // DAY_US

    def lengths(days: int) -> tuple[int, int, int]:
        room = days - holdout_days - days // 3
        purged = max(overlap_days, min(maturity_days, room // 3))
        fold_gap = max(0, min(maturity_days, (room - purged) // 3))
        return purged, fold_gap, min(calibration_days, room - purged - fold_gap)

    least = min(2 * folds, calibration_days)
    purged_days, fold_gap_days, test_days = lengths(days)
    if test_days < least:
        needed = next(n for n in range(days, days + 10_000) if lengths(n)[2] >= least)
        raise SplitError(
            f"{days} days of mature rows are too few for {holdout_days} of hold-out and {folds} folds before it: {needed} are "
            f"needed (a label takes {maturity_days} days more); land more history, or lower training.holdout_days or "
            "training.folds"
        )
    holdout_start = end - holdout_days * DAY_US
    tests_end = holdout_start - purged_days * DAY_US
    starts = _starts(anchor_us, tests_end - test_days * DAY_US, tests_end, folds)
    found = [_fold(anchor_us, start, until, fold_gap_days) for start, until in zip(starts, [*starts[1:], tests_end], strict=True)]
    return Split(
        folds=tuple(fold for fold in found if len(fold.train)),
        last=_fold(anchor_us, holdout_start, end, purged_days),
        fold_gap_days=fold_gap_days,
        purged_days=purged_days,
    )


def _starts(anchor_us: np.ndarray, start_us: int, end_us: int, folds: int) -> list[int]:
    """First instants of the test parts: as many days with rows in each, as rows need not be of every day.

    Raises:
        SplitError: if there is no row at all.
    """
    between = anchor_us[(anchor_us >= start_us) & (anchor_us < end_us)]
    if not len(between):
        raise SplitError(f"no row from {day_of(start_us)} to {day_of(end_us)}, where models are calibrated: land more history")
    days = np.unique(between // DAY_US)
    return [int(part[0]) * DAY_US for part in np.array_split(days, folds) if len(part)]


def _fold(anchor_us: np.ndarray, origin_us: int, end_us: int, gap_days: int) -> Fold:
    mature_us = origin_us - gap_days * DAY_US
    return Fold(
        origin_us,
        np.flatnonzero(anchor_us < mature_us),
        np.flatnonzero((anchor_us >= mature_us) & (anchor_us < origin_us)),
        np.flatnonzero((anchor_us >= origin_us) & (anchor_us < end_us)),
    )


def split_rows(table: pl.DataFrame, label: LabelSettings, overlap_days: int, training: TrainingSettings) -> Split:
    """The split of a snapshot's rows that the settings ask for.

    Raises:
        SplitError: see ``temporal_split``.
    """
    return temporal_split(
        table["anchor_at"].to_physical().to_numpy(),
        calibration_days=training.calibration_days,
        folds=training.folds,
        holdout_days=training.holdout_days,
        maturity_days=label.window_days + label.grace_days,
        overlap_days=overlap_days,
    )


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
        fold = _fold(anchor_us, origin, origin + test_us, gap_us // DAY_US)
        if not len(fold.train) or not len(fold.test):
            raise SplitError(
                f"the fold that tests from {day_of(origin)} on has {len(fold.train)} rows to train on and {len(fold.test)} to "
                "test on: land more history, or ask for fewer or shorter folds"
            )
        folds.append(fold)
    return folds
