"""Calibration recovers known distortions and refuses what cannot be calibrated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from returnml.modeling.fit.calibration import (
    Calibration,
    fit_calibration,
    sigmoid,
    softplus,
)


def distorted(rows: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    margin = rng.normal(-2, 1.5, rows)
    return margin, (rng.random(rows) < sigmoid(0.5 * margin - 1)).astype(np.int8)


def test_platt_recovers_slope_and_intercept():
    fitted = fit_calibration(*distorted())
    assert fitted.rise == fitted.fall == pytest.approx(0.5, abs=0.02)
    assert fitted.intercept == pytest.approx(-1, abs=0.03)


def test_beta_contains_platt():
    margin, y = distorted()
    beta, platt = fit_calibration(margin, y, "beta"), fit_calibration(margin, y)
    np.testing.assert_allclose(beta.probability(margin), platt.probability(margin), atol=0.02)


@pytest.mark.parametrize("method", ["platt", "beta"])
def test_calibrated_mean_is_the_rate(method):
    margin, y = distorted()
    assert fit_calibration(margin, y, method).probability(margin).mean() == pytest.approx(y.mean(), abs=1e-6)


def test_a_score_that_orders_backwards_is_refused():
    margin, y = distorted()
    with pytest.raises(ValueError, match="no better than chance"):
        fit_calibration(-margin, y)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="got only y = \\[0\\] in 3 lines"):
        fit_calibration(np.zeros(3), np.zeros(3, int))


@given(st.floats(-700, 700))
def test_sigmoid_and_softplus_do_not_overflow(x: float):
    with np.errstate(over="raise", invalid="raise"):
        p, s = sigmoid(np.array([x]))[0], softplus(np.array([x]))[0]
    assert 0 <= p <= 1
    assert s >= max(x, 0)


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=20), st.sampled_from(["platt", "beta"]))
def test_the_map_is_monotone(margins: list[float], method):
    calibration = Calibration(method=method, rise=1.3, fall=0.7, intercept=0.1)
    p = calibration.probability(np.sort(np.array(margins)))
    assert (np.diff(p) >= -1e-15).all()
