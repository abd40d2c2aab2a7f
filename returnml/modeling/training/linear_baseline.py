"""A logistic regression over the same inputs: what the trees must be worth more than. It is never released."""

from __future__ import annotations

import numpy as np

from returnml.modeling.data.splits import Fold
from returnml.modeling.data.spread import evenly_spread
from returnml.modeling.fit.variants import Recipe
from returnml.modeling.training.training_data import TrainingData

MAX_ROWS = 100_000
"""Of the training part, evenly spread: some hundred coefficients are known well enough from these."""


def linear_margin(data: TrainingData, fold: Fold, recipe: Recipe, seed: int) -> np.ndarray:
    """Log-odds of an origin's test rows by a regression fitted on its training rows, float64, shape (n,).

    Inputs become signed logarithms (counts and money are skewed), missing ones the mean and an indicator.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kept = [j for j, name in enumerate(data.names) if name not in recipe.excluded]
    rows = fold.train[evenly_spread(len(fold.train), MAX_ROWS)]
    pipeline = make_pipeline(
        SimpleImputer(add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=200, random_state=seed),
    )
    pipeline.fit(_flattened(data.x[rows][:, kept]), data.y[rows])
    margin: np.ndarray = pipeline.decision_function(_flattened(data.x[fold.test][:, kept]))
    return margin


def _flattened(x: np.ndarray) -> np.ndarray:
    wide = x.astype(np.float64)
    return np.sign(wide) * np.log1p(np.abs(wide))
