"""The distribution that a release was made on: what drift is measured against."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

REFERENCE_FILE = "reference.json"
FEATURE_BINS = 10
SCORE_BINS = 20


class Histogram(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares of a column.

    Attributes:
        edges: increasing inner edges; bin i holds ``edges[i-1] <= x < edges[i]`` (the outer bins are open).
        shares: of the non-missing values in each of ``len(edges) + 1`` bins; they sum to 1 where any value is there.
        share_missing: of all rows.
    """

    edges: list[float]
    shares: list[float]
    share_missing: float


class Reference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Histograms of every feature and of the score, over the most recent lines the release has seen."""

    rows: int
    features: dict[str, Histogram]
    score: Histogram


def build_reference(x: np.ndarray, names: Sequence[str], probability: np.ndarray) -> Reference:
    """Describe these lines.

    Args:
        x: float32, shape (n, len(names)).
        probability: shape (n,).
    """
    return Reference(
        rows=len(x),
        features={name: describe(x[:, j], FEATURE_BINS) for j, name in enumerate(names)},
        score=describe(probability, SCORE_BINS),
    )


def describe(values: np.ndarray, bins: int) -> Histogram:
    """Histogram over the values' own quantiles; equal quantiles are merged, so that an atom is one bin."""
    present = values[np.isfinite(values)].astype(np.float64)
    if not len(present):
        return Histogram(edges=[], shares=[0.0], share_missing=1.0)
    quantiles = np.quantile(present, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf")
    edges = np.unique(quantiles)
    return Histogram(edges=edges.tolist(), shares=shares(present, edges).tolist(), share_missing=1 - len(present) / len(values))


def shares(present: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of the values in each bin of ``Histogram``, shape (len(edges) + 1,)."""
    counts = np.bincount(np.searchsorted(edges, present, side="right"), minlength=len(edges) + 1)
    return counts / max(len(present), 1)
