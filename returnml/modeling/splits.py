"""Temporal splits: train, calibration and hold-out by order time, and rolling origins.

No two lines share the events that decide their labels (a return belongs to one line), so that parts that only touch
leak no label. What may overlap is *knowledge*: a label of a line ordered just before the hold-out was not known when the
hold-out began. Lines whose labels were open there are therefore purged, as far as the history is long enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from returnml.features.windows import DAY_US, floor_day


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


def temporal_split(ordered_at_us: np.ndarray, *, calibration_days: int, holdout_days: int, maturity_days: int) -> Split:
    """Split lines by order time at UTC days: train, calibration, gap, hold-out.

    The gap is the maturity of a label, so that the model could have been made when the hold-out began; for a shop whose
    history is too short for that, as much of it as leaves half of the days to training.

    Args:
        ordered_at_us: int64, shape (n,).
        calibration_days: length of the calibration part.
        holdout_days: length of the hold-out; its last day is the day of the last line.
        maturity_days: how long a label stays open (window and grace).

    Raises:
        SplitError: if the days left to train on are fewer than the calibration's, or a part has no line.
    """
    first, end = floor_day(int(ordered_at_us.min())), floor_day(int(ordered_at_us.max())) + DAY_US
    days = (end - first) // DAY_US
    purged_days = max(0, min(maturity_days, days // 2 - calibration_days - holdout_days))
    holdout_start = end - holdout_days * DAY_US
    calibration_end = holdout_start - purged_days * DAY_US
    calibration_start = calibration_end - calibration_days * DAY_US
    train_days = (calibration_start - first) // DAY_US
    if train_days < calibration_days:
        raise SplitError(
            f"{days} days of mature lines leave {max(train_days, 0)} to train on, beside {holdout_days} of hold-out and "
            f"{calibration_days} of calibration: {holdout_days + 2 * calibration_days} are needed (a label takes "
            f"{maturity_days} days more); land more history, or lower training.holdout_days and training.calibration_days"
        )
    split = Split(
        train=np.flatnonzero(ordered_at_us < calibration_start),
        calibration=np.flatnonzero((ordered_at_us >= calibration_start) & (ordered_at_us < calibration_end)),
        purged=np.flatnonzero((ordered_at_us >= calibration_end) & (ordered_at_us < holdout_start)),
        holdout=np.flatnonzero(ordered_at_us >= holdout_start),
        holdout_start_us=holdout_start,
        purged_days=purged_days,
    )
    for name in ("train", "calibration", "holdout"):
        if not len(getattr(split, name)):
            raise SplitError(
                f"no line for the {name} part: {days} days of mature lines, of which {holdout_days} are hold-out and "
                f"{calibration_days} calibration"
            )
    return split


@dataclass(frozen=True)
class Fold:
    """One rolling origin: train on what was mature at ``origin_us``, test on the lines ordered from there on."""

    origin_us: int
    train: np.ndarray
    test: np.ndarray


def rolling_origin(ordered_at_us: np.ndarray, origins_us: list[int], *, test_us: int, gap_us: int) -> list[Fold]:
    """Folds that repeat what would have been possible at each origin.

    Args:
        ordered_at_us: int64, shape (n,).
        origins_us: start of each test part.
        test_us: length of each test part.
        gap_us: lines ordered within this long before the origin are left out (their labels were open).

    Raises:
        SplitError: if a part of a fold is empty.
    """
    folds = []
    for origin in origins_us:
        train = np.flatnonzero(ordered_at_us < origin - gap_us)
        test = np.flatnonzero((ordered_at_us >= origin) & (ordered_at_us < origin + test_us))
        if not len(train) or not len(test):
            raise SplitError(f"fold at {origin}: {len(train)} train and {len(test)} test lines")
        folds.append(Fold(origin, train, test))
    return folds
