"""A calibration is used if it is better out of time than none, and the simplest of those that are."""

from __future__ import annotations

import numpy as np
import pytest

from returnml.modeling.fit.calibration import (
    UNCALIBRATED,
    fit_calibration,
    fit_shift,
    sigmoid,
)
from returnml.modeling.judging.out_of_time import (
    calibrate,
    choose_calibration,
    methods_for,
    origin_figures,
    progressive,
)

ROWS = 4_000


def folds(slope: float, shifts: list[float], seed: int = 1) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Margins of each fold; what is true is ``sigmoid(slope * margin + shift of the fold)``."""
    rng = np.random.default_rng(seed)
    margins = [rng.normal(-1.5, 1.0, ROWS) for _ in shifts]
    labels = [(rng.random(ROWS) < sigmoid(slope * m + shift)).astype(np.int8) for m, shift in zip(margins, shifts, strict=True)]
    return margins, labels


def test_what_is_right_as_it_is_is_left_alone():
    chosen = choose_calibration(*folds(1.0, [0.3, 0.0, -0.3, 0.3, -0.3]))
    assert chosen.method == "none", "the season moves up and down: what was right last month is wrong this month"
    assert chosen.losses["none"] < min(chosen.losses["shift"], chosen.losses["platt"])
    assert chosen.fitted(*(np.concatenate(part) for part in folds(1.0, [0.0]))) == UNCALIBRATED


def test_a_level_that_stays_is_shifted_and_a_slope_is_fitted():
    assert choose_calibration(*folds(1.0, [0.4, 0.4, 0.4])).method == "shift"
    assert choose_calibration(*folds(0.5, [0.0, 0.0, 0.0])).method == "platt"


def test_fewer_days_than_four_weeks_calibrate_nothing():
    steep = folds(4.0, [0.5, 0.5, 0.5])
    assert choose_calibration(*steep, methods_for(28)).method == "platt"
    chosen = choose_calibration(*steep, methods_for(27))
    assert (chosen.method, list(chosen.losses)) == ("none", ["none"])


def test_each_fold_is_calibrated_by_those_before_it():
    margins, labels = folds(1.0, [0.4, 0.4, 2.0])
    np.testing.assert_array_equal(progressive("shift", margins, labels, 0), sigmoid(margins[0]))
    first = fit_shift(np.concatenate(margins[:1]), np.concatenate(labels[:1]))
    np.testing.assert_array_equal(progressive("shift", margins, labels, 1), first.probability(margins[1]))
    both = fit_calibration(np.concatenate(margins[:2]), np.concatenate(labels[:2]))
    np.testing.assert_array_equal(progressive("platt", margins, labels, 2), both.probability(margins[2]))


def test_a_shift_gives_the_mean_that_happened():
    margins, labels = folds(1.0, [0.7])
    shifted = fit_shift(margins[0], labels[0])
    assert shifted.probability(margins[0]).mean() == pytest.approx(labels[0].mean(), abs=1e-12)
    assert (shifted.rise, shifted.fall) == (1.0, 1.0)
    assert shifted.intercept == pytest.approx(0.7, abs=0.1)


def test_where_nothing_can_be_fitted_there_is_no_calibration():
    assert calibrate("platt", np.arange(4.0), np.zeros(4, np.int8)) == UNCALIBRATED
    falling = calibrate("platt", np.arange(100.0), (np.arange(100) < 50).astype(np.int8))
    assert falling == UNCALIBRATED
    assert choose_calibration(*folds(1.0, [0.0])).method == "none", "one fold proves nothing"


def test_scores_without_order_are_a_problem_even_if_their_level_follows_the_rate():
    """Constant in each fold, higher where more come back: that is no order of rows."""
    rng = np.random.default_rng(2)
    margins = [np.full(ROWS, level) for level in (-2.0, -1.0)]
    labels = [(rng.random(ROWS) < sigmoid(m)).astype(np.int8) for m in margins]
    assert "would not rise" in choose_calibration(margins, labels).problem
    assert choose_calibration(*folds(1.0, [0.0, 0.0])).problem == ""


def test_figures_of_an_origin_say_how_far_the_rate_moved():
    found = origin_figures(5, np.array([0, 0, 0, 1]), np.array([0, 1]), np.array([0.25, 0.75]))
    assert (found.start_us, found.trained, found.rows) == (5, 4, 2)
    assert (found.base_rate_before, found.base_rate, found.mean_probability) == (0.25, 0.5, 0.5)
    assert found.log_loss == pytest.approx(-np.log(0.75))
    assert found.calibration_error == pytest.approx(0.25)
    assert origin_figures(5, np.array([0, 1]), np.array([0, 0]), np.array([0.25, 0.75])).calibration_error is None
