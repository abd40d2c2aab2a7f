"""What the deployed scores are held against: the way before, and a model made by hand. Nothing here is part of the line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from returnml.features.windows import DAY_US
from returnml.modeling.fit.boosting import train
from returnml.modeling.fit.calibration import (
    UNCALIBRATED,
    Calibration,
    CalibrationError,
    fit_calibration,
    sigmoid,
)
from returnml.modeling.fit.variants import VARIANTS
from returnml.modeling.judging.metrics import log_losses
from returnml.modeling.training.fitting import fit_rows
from returnml.modeling.training.training_data import TrainingData
from returnml.settings import TrainingSettings

HAND_MADE = {
    "objective": "binary", "learning_rate": 0.02, "num_leaves": 15, "min_data_in_leaf": 500, "feature_fraction": 0.3,
    "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 50, "seed": 1, "verbose": -1, "deterministic": True,
    "force_row_wise": True,
}  # fmt: skip
"""Of ``../shared/baselines/online_retail.py``."""
HAND_MADE_ROUNDS = 300
CALIBRATION_DAYS, HOLDOUT_DAYS = 14, 21
OF_BEFORE = ("plain", "regularised")

Scores = Callable[[np.ndarray], np.ndarray]
"""From a matrix to probabilities."""


def hand_made(data: TrainingData, threads: int) -> Scores:
    """LightGBM on all mature rows, not calibrated."""
    model = train(data.x, data.y, data.names, {**HAND_MADE, "num_threads": threads}, HAND_MADE_ROUNDS)
    return lambda x: sigmoid(model.margin(x))


def way_before(data: TrainingData, training: TrainingSettings) -> Scores:
    """The judged model itself is deployed: trained on what is older than hold-out, gap and 14 days; calibrated on these."""
    maturity = data.label.window_days + data.label.grace_days
    first, end = (int(edge) // DAY_US for edge in (data.anchor_us.min(), data.anchor_us.max() + DAY_US))
    purged = max(data.overlap_days, min(maturity, (end - first) // 2 - CALIBRATION_DAYS - HOLDOUT_DAYS))
    until = (end - HOLDOUT_DAYS - purged) * DAY_US
    since = until - CALIBRATION_DAYS * DAY_US
    rows = np.flatnonzero(data.anchor_us < since)
    part = np.flatnonzero((data.anchor_us >= since) & (data.anchor_us < until))
    found = []
    for variant in VARIANTS:
        if variant.name in OF_BEFORE:
            model = fit_rows(data, rows, variant.recipe(training, data.names), training.threads)
            margin = model.margin(data.x[part])
            calibration = _platt(margin, data.y[part])
            loss = float(log_losses(data.y[part], calibration.probability(margin)).mean())
            found.append((loss, variant.name, model, calibration))
    _, _, model, calibration = min(found, key=lambda one: one[0])
    return lambda x: calibration.probability(model.margin(x))


def _platt(margin: np.ndarray, y: np.ndarray) -> Calibration:
    try:
        return fit_calibration(margin, y)
    except CalibrationError:
        return UNCALIBRATED
