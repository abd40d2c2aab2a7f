"""How far a period's columns are from what the release was made on, as effect sizes.

Two measures over the reference's bins: the population stability index, sum of (p - q) ln(p / q), and the Kolmogorov-
Smirnov distance, the largest difference of the two cumulated shares (over bins: a lower bound of the exact one). With
thousands of rows a p-value calls every difference significant; an effect size says whether it matters. Rules of thumb
for the index: below 0.1 stable, above 0.25 shifted (Siddiqi, Credit Risk Scorecards, 2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from returnml.modeling.data.drift_reference import Histogram
from returnml.settings import DriftSettings

SCORE = "score"


@dataclass(frozen=True)
class ColumnDrift:
    """One column of one period against the reference.

    Attributes:
        rows: of the period, missing ones included.
        psi: over the bins, missing being one more bin.
        ks: over the bins of the values that are there, 0 to 1; None where one side has none.
        share_missing: of the period's rows.
    """

    column: str
    rows: int
    psi: float
    ks: float | None
    share_missing: float
    is_drifted: bool


@dataclass(frozen=True)
class PeriodDrift:
    """All columns of one period.

    Attributes:
        is_judged: whether the period had enough rows (``DriftSettings.min_rows``); otherwise nothing counts as drifted.
    """

    rows: int
    columns: tuple[ColumnDrift, ...]
    is_judged: bool
    is_drifted: bool

    @property
    def drifted(self) -> tuple[str, ...]:
        return tuple(c.column for c in self.columns if c.is_drifted)


def bin_counts(values: np.ndarray, histogram: Histogram, period: np.ndarray, periods: int) -> np.ndarray:
    """Count values in the reference's bins, for every period.

    Args:
        values: shape (n,); NaN is missing.
        histogram: the reference's, of this column.
        period: int, shape (n,): 0 to ``periods - 1``.

    Returns:
        int64, shape (periods, len(edges) + 2); the last column counts the missing.
    """
    bins = len(histogram.edges) + 2
    inside = np.searchsorted(np.asarray(histogram.edges, np.float64), values.astype(np.float64), side="right")
    inside = np.where(np.isfinite(values), inside, bins - 1)
    return np.bincount(period * bins + inside, minlength=periods * bins).reshape(periods, bins)


def judge_column(column: str, counts: np.ndarray, histogram: Histogram, settings: DriftSettings) -> ColumnDrift:
    """Compare one period's counts (a row of ``bin_counts``) with the reference."""
    rows = int(counts.sum())
    missing = int(counts[-1])
    present = rows - missing
    expected = np.append(np.asarray(histogram.shares) * (1 - histogram.share_missing), histogram.share_missing)
    psi = population_stability_index(expected, counts)
    ks = None
    if present and histogram.share_missing < 1:
        ks = float(np.abs(np.cumsum(counts[:-1]) / present - np.cumsum(histogram.shares)).max())
    is_drifted = rows >= settings.min_rows and (psi > settings.psi_threshold or (ks or 0.0) > settings.ks_threshold)
    return ColumnDrift(column, rows, psi, ks, missing / rows if rows else 0.0, is_drifted)


def population_stability_index(expected: np.ndarray, counts: np.ndarray) -> float:
    """The index of observed counts against expected shares.

    An empty bin would make it infinite: each side gets half a row a bin, as with a period of this size.
    """
    rows = counts.sum()
    if rows == 0:
        return 0.0
    p = (counts + 0.5) / (rows + 0.5 * len(counts))
    q = (expected * rows + 0.5) / (rows + 0.5 * len(counts))
    return float(((p - q) * np.log(p / q)).sum())


def judge_period(columns: Sequence[ColumnDrift], settings: DriftSettings) -> PeriodDrift:
    """A period drifts if its score does, or more than the configured share of its features."""
    rows = max((c.rows for c in columns), default=0)
    features = [c for c in columns if c.column != SCORE]
    share = sum(c.is_drifted for c in features) / len(features) if features else 0.0
    score = any(c.is_drifted for c in columns if c.column == SCORE)
    return PeriodDrift(rows, tuple(columns), rows >= settings.min_rows, score or share > settings.share_of_features)
