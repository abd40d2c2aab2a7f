"""Prediction intervals that past forecasts have earned.

A model's own standard deviation gives the relative width: which forecast is less certain than which. The absolute
width comes from what actually happened: errors of past forecasts, each divided by its standard deviation, whose
quantiles replace those of the normal distribution (split conformal prediction with normalised scores: Papadopoulos,
Gammerman and Vovk 2008; quantiles of signed errors, as counts are skewed). They hold everything that a formula leaves
out: over-dispersion, lines of one order that come back together, drifting delays and rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

LEVEL = 0.9
MIN_TARGETS = 15
"""Cohorts or days whose truth is known, below which the width of a band is unknown, not guessed."""
CALIBRATION_DAYS = 120
"""Cut-offs before the present one whose errors count."""
WHOLE_SHOP = -1


@dataclass(frozen=True)
class Cells:
    """Forecasts of counts, one entry each; all arrays of shape (n,).

    Attributes:
        cut_off: index of the day that begins at the cut-off.
        band: what is pooled: forecasts of one band are equally hard but for their standard deviation.
        group: index of the product group, or ``WHOLE_SHOP``.
        first, last: the days it is about (indexes, inclusive).
        exposure: lines so far (0 where the forecast is about a future day).
        base: what is already back; ``mean``: expected beyond that; ``sd``: of that, by the model.
        known: index of the first cut-off at which the truth is known.
        truth: beyond ``base``, in the same unit as ``mean``; NaN where the table does not reach it.
    """

    cut_off: np.ndarray
    band: np.ndarray
    group: np.ndarray
    first: np.ndarray
    last: np.ndarray
    exposure: np.ndarray
    base: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    known: np.ndarray
    truth: np.ndarray

    def __len__(self) -> int:
        return len(self.mean)

    def where(self, keep: np.ndarray) -> Cells:
        return Cells(*(getattr(self, field.name)[keep] for field in fields(self)))


def join(parts: Sequence[Cells]) -> Cells:
    """The cells of all parts, one after the other."""
    return Cells(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Cells)))


def intervals(cells: Cells, cut_off: int) -> tuple[Cells, np.ndarray]:
    """The forecasts of one cut-off with their intervals, from errors that were known at that cut-off.

    Args:
        cells: forecasts of this and of earlier cut-offs.

    Returns:
        The cells of the cut-off, and lower and upper bounds of what comes beyond ``base``, shape (n, 2): at least 0;
        NaN where the truth of fewer than ``MIN_TARGETS`` different targets of the band is known.
    """
    now = cells.where(cells.cut_off == cut_off)
    is_usable = (cells.known <= cut_off) & (cells.cut_off >= cut_off - CALIBRATION_DAYS) & (cells.cut_off < cut_off)
    past = cells.where(is_usable)
    errors = (past.truth - past.mean) / past.sd
    bounds = np.full((len(now), 2), np.nan)
    for band in np.unique(now.band):
        is_past = past.band == band
        targets = _distinct(past, is_past)
        if targets >= MIN_TARGETS:
            is_in = now.band == band
            low, high = finite_sample_quantiles(np.sort(errors[is_past]), LEVEL, targets)
            bounds[is_in] = now.mean[is_in, None] + now.sd[is_in, None] * np.array([low, high])
    return now, np.maximum(bounds, 0.0)


def finite_sample_quantiles(errors: np.ndarray, level: float, targets: int) -> tuple[float, float]:
    """The order statistics between which the error of one more target lies with at least ``level``.

    Args:
        errors: sorted, shape (n,).
        targets: how many different things they are errors about: forecasts of one cohort on successive days err alike, so
            that n errors say no more than ``targets`` exchangeable ones.

    >>> finite_sample_quantiles(np.arange(1.0, 100.0), 0.9, 99)
    (5.0, 95.0)
    >>> finite_sample_quantiles(np.arange(1.0, 100.0), 0.9, 33)  # a tail of 1 in 33, not of 5 in 99
    (3.0, 97.0)
    """
    of_targets = int((targets + 1) * (1 - level) / 2 + 1e-9)
    tail = max(1, int(len(errors) * of_targets / targets + 1e-9))
    return float(errors[tail - 1]), float(errors[-tail])


def _distinct(cells: Cells, of: np.ndarray) -> int:
    """Different targets of some cells; weeks that overlap count in proportion to what they do not share."""
    if not of.any():
        return 0
    group, first, last = cells.group[of], cells.first[of], cells.last[of]
    days = last.max() + 1
    # One number for each target: numpy sorts rows by comparing their bytes, many times slower.
    _, one_of_each = np.unique(((group - WHOLE_SHOP) * days + first) * days + last, return_index=True)
    return int(len(one_of_each) / (last - first + 1)[one_of_each].mean())


def past_coverage(cells: Cells, cut_off: int) -> tuple[float, int]:
    """Share of the forecasts of the last ``CALIBRATION_DAYS`` cut-offs whose interval held what is known by now, and how
    many were judged; each had its width from what was known at its own cut-off."""
    recent = cells.where((cells.cut_off >= cut_off - CALIBRATION_DAYS) & (cells.cut_off < cut_off))
    inside = judged = 0
    for earlier in np.unique(recent.cut_off):
        now, bounds = intervals(recent, int(earlier))
        is_judged = np.isfinite(bounds[:, 0]) & (now.known <= cut_off)
        is_in = (now.truth >= bounds[:, 0]) & (now.truth <= bounds[:, 1])
        inside += int((is_in & is_judged).sum())
        judged += int(is_judged.sum())
    return (inside / judged if judged else float("nan")), judged
