"""Out-of-time scores: what a recipe, fitted at each rolling origin, said of the rows that came after.

They calibrate the model, say whether a calibration is worth having, and are what recipes are chosen and compared by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from returnml.modeling.fit.calibration import (
    UNCALIBRATED,
    Calibration,
    CalibrationError,
    fit_calibration,
    fit_shift,
)
from returnml.modeling.judging.metrics import (
    ScoredSample,
    log_losses,
)

Method = Literal["none", "shift", "platt"]
METHODS: tuple[Method, ...] = ("none", "shift", "platt")
"""From the simplest; of equals the simpler one is taken."""
LEAST_DAYS = 28
"""Of out-of-time scores that a calibration may be fitted to: fewer say more of their days than of the model."""


def methods_for(days: int) -> tuple[Method, ...]:
    """Which calibrations out-of-time scores of so many days can tell apart: of fewer than ``LEAST_DAYS`` none is fitted."""
    return METHODS if days >= LEAST_DAYS else ("none",)


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which calibration a recipe gets, and why.

    Attributes:
        losses: by method that was tried (``methods_for``) the log loss on the folds but the first, each calibrated by the folds
            before it.
        problem: why higher scores do not mean more positives on the folds; empty: they do.
    """

    method: Method
    losses: dict[str, float]
    problem: str

    def fitted(self, margin: np.ndarray, y: np.ndarray) -> Calibration:
        """The calibration of this method by these rows; none where it cannot be fitted.

        Args:
            margin: out-of-time log-odds, float64, shape (n,).
            y: 0 or 1, shape (n,).
        """
        return calibrate(self.method, margin, y)


def calibrate(method: Method, margin: np.ndarray, y: np.ndarray) -> Calibration:
    """Fit a calibration; where one label is missing or it would not rise, there is none."""
    if method == "none" or y.min() == y.max():
        return UNCALIBRATED
    try:
        return fit_shift(margin, y) if method == "shift" else fit_calibration(margin, y)
    except CalibrationError:
        return UNCALIBRATED


def choose_calibration(
    margins: Sequence[np.ndarray], labels: Sequence[np.ndarray], methods: tuple[Method, ...] = METHODS
) -> Choice:
    """The method that is best out of time: each fold is calibrated by those before it, and the log loss added up.

    Args:
        margins: of each fold's test rows, earliest first.
        labels: 0 or 1, of the same rows.
        methods: to choose from, the simplest first.
    """
    losses: dict[str, float] = {}
    for method in methods:
        said = [progressive(method, margins, labels, k) for k in range(1, len(margins))]
        of_rows = [log_losses(y, p) for y, p in zip(labels[1:], said, strict=True)]
        losses[method] = float(np.concatenate(of_rows).mean()) if of_rows else 0.0
    centred = [margin - margin.mean() for margin in margins]  # order within a fold; a level of its own is no order
    try:
        fit_calibration(np.concatenate(centred), np.concatenate(labels))
        problem = ""
    except CalibrationError as error:
        problem = str(error)
    return Choice(method=min(methods, key=lambda method: losses[method]), losses=losses, problem=problem)


def progressive(method: Method, margins: Sequence[np.ndarray], labels: Sequence[np.ndarray], k: int) -> np.ndarray:
    """Probabilities of origin ``k``'s test rows, calibrated by those of the origins before; float64."""
    if k == 0:
        return UNCALIBRATED.probability(margins[0])
    return calibrate(method, np.concatenate(margins[:k]), np.concatenate(labels[:k])).probability(margins[k])


class OriginFigures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was said at one origin, and what happened.

    Attributes:
        trained, rows: rows to train on, and rows scored.
        base_rate_before: share of 1 among the rows trained on: how far the rate moved since.
        calibration_error: None where all rows have one label.
    """

    start_us: int
    trained: int
    rows: int
    base_rate_before: float
    base_rate: float
    mean_probability: float
    log_loss: float
    calibration_error: float | None


def origin_figures(start_us: int, before: np.ndarray, y: np.ndarray, p: np.ndarray) -> OriginFigures:
    """
    Args:
        before: labels of the rows trained on.
        y, p: labels and probabilities of those scored, shape (n,).
    """
    both = y.min() != y.max()
    return OriginFigures(
        start_us=start_us,
        trained=len(before),
        rows=len(y),
        base_rate_before=float(before.mean()),
        base_rate=float(y.mean()),
        mean_probability=float(p.mean()),
        log_loss=float(log_losses(y, p).mean()),
        calibration_error=ScoredSample(y, p).figures()["calibration_error"] if both else None,
    )
