"""A recipe fitted at the rolling origins of a split, and on all mature rows."""

from __future__ import annotations

import numpy as np

from returnml.features.windows import DAY_US
from returnml.maturity.weights import (
    LEAST_SHARE,
    known_share,
    young_weights,
)
from returnml.modeling.data.splits import Fold
from returnml.modeling.fit.boosting import (
    TreeModel,
    train,
)
from returnml.modeling.fit.calibration import sigmoid
from returnml.modeling.fit.variants import Recipe
from returnml.modeling.training.training_data import TrainingData
from returnml.settings import TrainingSettings


def fit_at(data: TrainingData, fold: Fold, recipe: Recipe, training: TrainingSettings) -> TreeModel:
    """The trees that could have been trained at an origin.

    Args:
        training: how young rows are used, and with how many threads; all else is the recipe's.
    """
    model = fit_rows(data, fold.train, recipe, training.threads)
    if training.young_lines == "exclude" or not len(fold.gap):
        return model
    rows, known, weight = _young(data, fold, sigmoid(model.margin(data.x[fold.gap])))
    both, labels = np.concatenate([fold.train, rows]), np.concatenate([data.y[fold.train], known])
    weights = np.concatenate([np.ones(len(fold.train)), weight])
    return _train(recipe, data, both, labels, training.threads, weights)


def fit_rows(data: TrainingData, rows: np.ndarray, recipe: Recipe, threads: int) -> TreeModel:
    """The trees of mature rows."""
    return _train(recipe, data, rows, data.y[rows], threads, np.ones(len(rows)))


def _train(recipe: Recipe, data: TrainingData, rows: np.ndarray, y: np.ndarray, threads: int, weight: np.ndarray) -> TreeModel:
    x = data.x[rows]  # a copy, in which excluded inputs are blotted out: no split can ask them then
    x[:, [data.names.index(name) for name in recipe.excluded]] = np.nan
    if recipe.weight_half_life_days is not None:
        weight = weight * recency_weights(data.anchor_us[rows], recipe.weight_half_life_days)
    params = {**recipe.lightgbm, "num_threads": threads, "verbose": -1}
    return train(x, y, data.names, params, recipe.rounds, weight=None if (weight == 1).all() else weight)


def recency_weights(anchor_us: np.ndarray, half_life_days: float) -> np.ndarray:
    """A row half a life older than another counts half as much; the mean weight is 1, so that L2 and least hessian keep
    their meaning.

    >>> recency_weights(np.array([0, 10 * DAY_US]), 10.0).round(3).tolist()
    [0.667, 1.333]
    """
    age_days = (anchor_us.max() - anchor_us) / DAY_US
    weight = 0.5 ** (age_days / half_life_days)
    return weight / weight.mean()


def _young(data: TrainingData, fold: Fold, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers, labels and weights of the gap's rows, as they stood at the origin.

    Args:
        probability: of the gap's rows, by a model of mature ones.
    """
    known_at = data.table["label_known_at"].to_physical().fill_null(np.iinfo(np.int64).max).to_numpy()
    before = np.concatenate([fold.train, fold.gap])
    maturity_days = data.label.window_days + data.label.grace_days
    share = known_share(data.anchor_us[before], known_at[before], fold.origin_us, maturity_days)[len(fold.train) :]
    is_used = share >= LEAST_SHARE
    rows = fold.gap[is_used]
    known = known_at[rows] < fold.origin_us
    return rows, known.astype(np.int8), young_weights(known, share[is_used], probability[is_used])
