"""Trees and their calibration from the parts of a split."""

from __future__ import annotations

import numpy as np
import polars as pl

from returnml.maturity.weights import (
    LEAST_SHARE,
    known_share,
    young_weights,
)
from returnml.modeling.data.splits import Split
from returnml.modeling.fit.boosting import (
    TreeModel,
    train,
)
from returnml.modeling.fit.calibration import (
    Calibration,
    CalibrationError,
    fit_calibration,
)
from returnml.modeling.fit.variants import Recipe
from returnml.modeling.training.training_data import TrainingData
from returnml.settings import LabelSettings, TrainingSettings


def fit(data: TrainingData, recipe: Recipe, training: TrainingSettings) -> tuple[TreeModel, Calibration, str]:
    """Train and calibrate.

    Args:
        training: how young lines are used, and with how many threads; all else is the recipe's.

    Returns:
        The trees, their calibration, and why it does not rise (empty where it does).
    """
    x, y, split = data.x, data.y, data.split
    model = train_by(recipe, x[split.train], y[split.train], data.names, training.threads)
    calibration, problem = calibrated(model.margin(x[split.calibration]), y[split.calibration])
    if training.young_lines == "weighted":
        probability = calibration.probability(model.margin(x[split.purged]))
        rows, known, weight = _young(data.table, split, data.label, probability)
        both, labels = np.concatenate([split.train, rows]), np.concatenate([y[split.train], known])
        weights = np.concatenate([np.ones(len(split.train)), weight])
        model = train_by(recipe, x[both], labels, data.names, training.threads, weights)
        calibration, problem = calibrated(model.margin(x[split.calibration]), y[split.calibration])
    return model, calibration, problem


def train_by(
    recipe: Recipe, x: np.ndarray, y: np.ndarray, names: list[str], threads: int, weight: np.ndarray | None = None
) -> TreeModel:
    """Train trees by a recipe.

    Args:
        x: float32, shape (n, inputs); a copy, in which excluded inputs are blotted out: no split can ask them then.
        y: 0 or 1, shape (n,).
        weight: of each row, shape (n,).
    """
    x[:, [names.index(name) for name in recipe.excluded]] = np.nan
    params = {**recipe.lightgbm, "num_threads": threads, "verbose": -1}
    return train(x, y, names, params, recipe.rounds, weight=weight)


def calibrated(margin: np.ndarray, y: np.ndarray) -> tuple[Calibration, str]:
    """The calibration of these log-odds, and why it does not rise (empty: it does).

    Where no rising map fits, it is that of the model's own probabilities: the candidate is judged, and rejected, with them.
    """
    try:
        return fit_calibration(margin, y), ""
    except CalibrationError as error:
        return Calibration(method="platt", rise=1.0, fall=1.0, intercept=0.0), str(error)


def _young(
    table: pl.DataFrame, split: Split, label: LabelSettings, probability: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers, labels and weights of the gap's rows, as they stood when the hold-out began.

    Args:
        probability: of the gap's rows, by a model of mature ones.
    """
    anchor = table["anchor_at"].to_physical().to_numpy()
    known_at = table["label_known_at"].to_physical().fill_null(np.iinfo(np.int64).max).to_numpy()
    before = np.flatnonzero(anchor < split.holdout_start_us)
    share = np.zeros(len(anchor))
    maturity_days = label.window_days + label.grace_days
    share[before] = known_share(anchor[before], known_at[before], split.holdout_start_us, maturity_days)
    is_used = share[split.purged] >= LEAST_SHARE
    rows = split.purged[is_used]
    known = known_at[rows] < split.holdout_start_us
    return rows, known.astype(np.int8), young_weights(known, share[rows], probability[is_used])
