"""Trees and their calibration from the parts of a split."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from returnml.modeling.boosting import TreeModel, train
from returnml.modeling.calibration import Calibration, CalibrationError, fit_calibration
from returnml.modeling.maturity_weights import LEAST_SHARE, known_share, young_weights
from returnml.modeling.splits import Split
from returnml.settings import LabelSettings, TrainingSettings


def fit(
    table: pl.DataFrame,
    x: np.ndarray,
    names: list[str],
    split: Split,
    label: LabelSettings,
    params: dict[str, Any],
    settings: TrainingSettings,
) -> tuple[TreeModel, Calibration, str]:
    """Train and calibrate, as the settings say.

    Args:
        table: of the snapshot; ``x`` its features ``names``, float32, shape (n, inputs).
        params: LightGBM parameters.

    Returns:
        The trees, their calibration, and why it does not rise (empty where it does).
    """
    y = table["label"].to_numpy()
    model = train(x[split.train], y[split.train], names, params, settings.rounds)
    calibration, problem = _calibrated(model, x[split.calibration], y[split.calibration])
    if settings.young_lines == "weighted":
        rows, known, weight = _young(table, split, label, calibration.probability(model.margin(x[split.purged])))
        both, labels = np.concatenate([split.train, rows]), np.concatenate([y[split.train], known])
        weights = np.concatenate([np.ones(len(split.train)), weight])
        model = train(x[both], labels, names, params, settings.rounds, weight=weights)
        calibration, problem = _calibrated(model, x[split.calibration], y[split.calibration])
    return model, calibration, problem


def _calibrated(model: TreeModel, x: np.ndarray, y: np.ndarray) -> tuple[Calibration, str]:
    """Where no rising map fits, the trees' own probabilities: the candidate is judged, and rejected, with them."""
    try:
        return fit_calibration(model.margin(x), y), ""
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
