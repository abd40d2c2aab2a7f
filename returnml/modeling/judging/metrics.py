"""Quality figures of a scored sample, weighted, so that a bootstrap replicate is only another weight vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

LIFT_SHARES = (0.01, 0.05, 0.10)
CALIBRATION_BINS = 15
LEVEL = 0.95
"""Of every interval."""
_SMALLEST = 1e-7


class ScoredSample:
    """Labels and probabilities, sorted once; every figure is then one pass over weights.

    Args:
        y: 0 or 1, shape (n,).
        p: probabilities, shape (n,).

    Raises:
        ValueError: without both classes, or for a score that is no probability.
    """

    def __init__(self, y: np.ndarray, p: np.ndarray) -> None:
        p = p.astype(np.float64)
        if not np.isfinite(p).all() or p.min() < 0 or p.max() > 1:
            raise ValueError("scores must be probabilities: finite, between 0 and 1")
        if y.min() == y.max():
            raise ValueError(f"quality needs returned and kept lines; all {len(y)} have y = {y.min()}")
        self.order = np.argsort(-p, kind="stable")
        self.y = y[self.order].astype(np.float64)
        self.p = p[self.order]
        # Equal scores are one step of every curve: a figure must not depend on the order of tied rows.
        self._ends = np.append(np.flatnonzero(np.diff(self.p)), len(p) - 1)
        self._log_loss = log_losses(self.y, self.p)
        self._squared = (self.p - self.y) ** 2
        self._excess = self.p - self.y
        bins = min(CALIBRATION_BINS, len(p))
        self._bin_starts = np.arange(bins) * len(p) // bins

    def figures(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """All figures.

        Args:
            weights: non-negative, shape (n,), in the order of the given rows; default all one.

        Returns:
            ``auc``, ``average_precision``, ``log_loss``, ``brier``, ``calibration_error`` (equal-mass bins),
            ``base_rate``, ``mean_probability`` and ``lift_top_<x>pct`` (share of returns caught in the riskiest
            x percent, divided by x percent).
        """
        w = np.ones(len(self.y)) if weights is None else weights[self.order].astype(np.float64)
        total = w.sum()
        positive = np.cumsum(w * self.y)
        mass = np.cumsum(w)
        tp, everything = positive[self._ends], mass[self._ends]
        fp = everything - tp
        gain, cost = np.diff(tp, prepend=0.0), np.diff(fp, prepend=0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(everything > 0, tp / everything, 0.0)
            out = {
                "auc": float(np.sum(cost * (tp - gain / 2)) / (tp[-1] * fp[-1])),
                "average_precision": float(np.sum(gain * precision) / tp[-1]),
                "log_loss": float(w @ self._log_loss / total),
                "brier": float(w @ self._squared / total),
                "calibration_error": self._calibration_error(w, total),
                "base_rate": float(tp[-1] / total),
                "mean_probability": float(w @ self.p / total),
            }
            reached = np.interp(np.array(LIFT_SHARES) * total, np.append(0.0, everything), np.append(0.0, tp))
            for share, caught in zip(LIFT_SHARES, reached, strict=True):
                out[f"lift_top_{round(share * 100)}pct"] = float(caught / tp[-1] / share)
        return out

    def _calibration_error(self, w: np.ndarray, total: float) -> float:
        gap = np.add.reduceat(w * self._excess, self._bin_starts)
        return float(np.abs(gap).sum() / total)


def customer_weights(customer: np.ndarray, replicates: int, seed: int) -> Iterator[np.ndarray]:
    """Bootstrap weights: customers are drawn with replacement, and all lines of one come along.

    Lines of one customer are alike, so that drawing lines would give intervals that are too narrow.

    Args:
        customer: ids, shape (n,).

    Yields:
        One int64 weight vector of shape (n,) per replicate.
    """
    codes = np.unique(customer, return_inverse=True)[1]
    count = int(codes.max()) + 1
    rng = np.random.default_rng(seed)
    for _ in range(replicates):
        yield np.bincount(rng.integers(0, count, count), minlength=count)[codes]


def bootstrap_figures(
    samples: Sequence[ScoredSample], customer: np.ndarray, *, replicates: int, seed: int
) -> Iterator[list[dict[str, float]]]:
    """The figures of each sample in each replicate: models are drawn the same customers, so that they stay comparable.

    Args:
        samples: models' scores of the same rows in the same given order.
        customer: ids of those rows.
    """
    for weight in customer_weights(customer, replicates, seed):
        yield [sample.figures(weight) for sample in samples]


def bootstrap_intervals(
    sample: ScoredSample, customer: np.ndarray, *, replicates: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of every figure, by customer bootstrap (Efron 1979; clusters are customers)."""
    return intervals([row[0] for row in bootstrap_figures([sample], customer, replicates=replicates, seed=seed)])


def paired_difference(
    sample: ScoredSample, reference: ScoredSample, customer: np.ndarray, *, replicates: int, seed: int
) -> dict[str, tuple[float, float, float]]:
    """Figure of ``sample`` minus figure of ``reference`` on the same rows: (value, low, high) by paired bootstrap.

    Args:
        sample: one model's scores; ``reference``: another's, on the same rows in the same given order.
        customer: ids of those rows.
    """
    value = differences(sample.figures(), reference.figures())
    drawn = bootstrap_figures([sample, reference], customer, replicates=replicates, seed=seed)
    spread = intervals([differences(ours, theirs) for ours, theirs in drawn])
    return {name: (value[name], low, high) for name, (low, high) in spread.items()}


def differences(figures: dict[str, float], reference: dict[str, float]) -> dict[str, float]:
    """Each figure minus the same of a reference."""
    return {name: value - reference[name] for name, value in figures.items()}


def mean_difference(difference: np.ndarray, customer: np.ndarray, *, replicates: int, seed: int) -> tuple[float, float, float]:
    """Mean difference of two models' losses, line by line: (value, low, high) by paired customer bootstrap.

    Args:
        difference: one model's loss minus the other's on the same line, shape (n,).
        customer: ids of those lines.
    """
    means = [float(w @ difference / w.sum()) for w in customer_weights(customer, replicates, seed)]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(difference.mean()), float(low), float(high)


def log_losses(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Log loss of each line, float64, shape (n,)."""
    clipped = np.clip(p.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    return -np.where(y == 1, np.log(clipped), np.log1p(-clipped))


def intervals(rows: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """The central interval of each figure over replicates."""
    tail = (1 - LEVEL) / 2
    out = {}
    for name in rows[0]:
        # A replicate without any return has no AUC: it says nothing about it.
        low, high = np.nanquantile([row[name] for row in rows], [tail, 1 - tail])
        out[name] = (float(low), float(high))
    return out
