"""A logistic regression over the same inputs: what the trees must be worth more than. It is never released."""

from __future__ import annotations

import numpy as np

from returnml.modeling.data.spread import evenly_spread
from returnml.modeling.fit.calibration import Calibration
from returnml.modeling.fit.variants import Recipe
from returnml.modeling.training.fitting import calibrated
from returnml.modeling.training.training_data import TrainingData

MAX_ROWS = 100_000
"""Of the training part, evenly spread: some hundred coefficients are known well enough from these."""


def fit_linear(data: TrainingData, recipe: Recipe, seed: int) -> tuple[tuple[np.ndarray, np.ndarray], Calibration, str]:
    """Fit on the training part and calibrate.

    Inputs become signed logarithms (counts and money are skewed), missing ones the mean and an indicator.

    Returns:
        Log-odds of the calibration part and of the hold-out; the calibration, and why it does not rise (empty: it does).
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kept = [j for j, name in enumerate(data.names) if name not in recipe.excluded]
    rows = data.split.train[evenly_spread(len(data.split.train), MAX_ROWS)]
    pipeline = make_pipeline(
        SimpleImputer(add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=200, random_state=seed),
    )
    pipeline.fit(_flattened(data.x[rows][:, kept]), data.y[rows])
    calibration_part, holdout = (
        pipeline.decision_function(_flattened(data.x[part][:, kept])) for part in (data.split.calibration, data.split.holdout)
    )
    calibration, problem = calibrated(calibration_part, data.y[data.split.calibration])
    return (calibration_part, holdout), calibration, problem


def _flattened(x: np.ndarray) -> np.ndarray:
    wide = x.astype(np.float64)
    return np.sign(wide) * np.log1p(np.abs(wide))
