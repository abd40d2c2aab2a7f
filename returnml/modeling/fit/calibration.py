"""Calibration: a smooth monotone map from the trees' log-odds to a probability, with few parameters.

Platt's map (Platt 1999) ``sigmoid(slope * margin + intercept)`` is the default; beta calibration (Kull, Silva Filho
and Flach 2017) has one parameter more. Why no isotonic regression: ``docs/decisions/calibration.md``.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from returnml.errors import Refusal

_MAX_STEPS = 100
_TOLERANCE = 1e-10
_RIDGE = 1e-9


class CalibrationError(Refusal):
    """A map that cannot be fitted, or would turn the model's order round."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``sigmoid(rise * ln p - fall * ln(1 - p) + intercept)`` with ``p = sigmoid(margin)``.

    With ``rise == fall`` that is Platt's ``sigmoid(slope * margin + intercept)``; ``shift`` has a slope of 1, and ``none`` no
    intercept either.
    """

    method: Literal["none", "shift", "platt", "beta"]
    rise: float
    fall: float
    intercept: float

    def probability(self, margin: np.ndarray) -> np.ndarray:
        """Calibrated probability, float64, shape of ``margin``."""
        if self.method != "beta":
            return sigmoid(self.rise * margin + self.intercept)
        return sigmoid(self.fall * softplus(margin) - self.rise * softplus(-margin) + self.intercept)


def fit_calibration(margin: np.ndarray, y: np.ndarray, method: Literal["platt", "beta"] = "platt") -> Calibration:
    """Fit by maximum likelihood (Newton's method on the convex log loss).

    Args:
        margin: log-odds of lines that the trees were not trained on, float64, shape (n,).
        y: 0 or 1, shape (n,).

    Raises:
        CalibrationError: if only one class is present, or the fit would not rise with the margin.
    """
    if len(np.unique(y)) != 2:
        only = np.unique(y).tolist()
        raise CalibrationError(f"calibration needs returned and kept lines, got only y = {only} in {len(y)} lines")
    if method == "platt":
        slope, intercept = _logistic(np.column_stack([margin]), y)
        fitted = Calibration(method="platt", rise=slope, fall=slope, intercept=intercept)
    else:
        rise, fall, intercept = _logistic(np.column_stack([-softplus(-margin), softplus(margin)]), y)
        fitted = Calibration(method="beta", rise=rise, fall=fall, intercept=intercept)
    if min(fitted.rise, fitted.fall) <= 0:
        raise CalibrationError(
            f"calibration ({method}) would not rise with the model's score (rise {fitted.rise:.4g}, fall {fitted.fall:.4g}): "
            "the model orders lines no better than chance on the calibration part"
        )
    return fitted


UNCALIBRATED = Calibration(method="none", rise=1.0, fall=1.0, intercept=0.0)


def fit_shift(margin: np.ndarray, y: np.ndarray) -> Calibration:
    """The shift of the log-odds with which the mean probability is the share of 1 in ``y``; both labels must be there."""
    shift, target = 0.0, float(y.mean())
    for _ in range(_MAX_STEPS):
        p = sigmoid(margin + shift)
        step = (target - float(p.mean())) / max(float((p * (1 - p)).mean()), 1e-12)
        shift += float(np.clip(step, -1.0, 1.0))
        if abs(step) < 1e-12:
            break
    return Calibration(method="shift", rise=1.0, fall=1.0, intercept=shift)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-x))`` without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def softplus(x: np.ndarray) -> np.ndarray:
    """``ln(1 + exp(x))`` without overflow."""
    return np.logaddexp(0.0, x)


def _logistic(columns: np.ndarray, y: np.ndarray) -> list[float]:
    """Coefficients of each column, then the intercept.

    Columns are standardised and a vanishing ridge keeps the Hessian regular (beta's two columns may be collinear).
    """
    centre, scale = columns.mean(axis=0), columns.std(axis=0) + 1e-12
    design = np.column_stack([(columns - centre) / scale, np.ones(len(y))])
    beta = np.zeros(design.shape[1])
    beta[-1] = np.log(y.mean() / (1 - y.mean()))
    ridge = _RIDGE * len(y) * np.eye(len(beta))
    loss = np.inf
    for _ in range(_MAX_STEPS):
        p = sigmoid(design @ beta)
        gradient = design.T @ (p - y) + ridge @ beta
        step = np.linalg.solve((design * (p * (1 - p))[:, None]).T @ design + ridge, gradient)
        size = 1.0
        while size > 1e-6 and (trial := _loss(design, y, beta - size * step)) > loss:
            size /= 2
        beta = beta - size * step
        if loss - trial < _TOLERANCE * len(y) and np.abs(size * step).max() < 1e-9:
            break
        loss = min(loss, trial)
    slopes = beta[:-1] / scale
    return [*(float(s) for s in slopes), float(beta[-1] - slopes @ centre)]


def _loss(design: np.ndarray, y: np.ndarray, beta: np.ndarray) -> float:
    margin = design @ beta
    return float(np.sum(softplus(margin) - y * margin))
