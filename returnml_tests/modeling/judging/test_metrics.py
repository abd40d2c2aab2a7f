"""Quality figures equal scikit-learn's, weighted or not; the bootstrap draws customers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from returnml.modeling.judging.metrics import (
    ScoredSample,
    bootstrap_intervals,
    customer_weights,
    paired_difference,
)


@given(st.integers(0, 10_000), st.integers(10, 200), st.integers(1, 4))
@settings(max_examples=60)
def test_figures_equal_scikit_learns_with_ties_and_weights(seed: int, rows: int, digits: int):
    rng = np.random.default_rng(seed)
    y, p, w = rng.integers(0, 2, rows), rng.random(rows).round(digits), rng.integers(0, 4, rows)
    y[:2], w[:2] = (0, 1), 1
    found = ScoredSample(y, p).figures(w)
    clipped = np.clip(p, 1e-7, 1 - 1e-7)
    assert found["auc"] == pytest.approx(roc_auc_score(y, p, sample_weight=w))
    assert found["average_precision"] == pytest.approx(average_precision_score(y, p, sample_weight=w))
    assert found["log_loss"] == pytest.approx(log_loss(y, clipped, sample_weight=w, labels=[0, 1]))
    assert found["brier"] == pytest.approx(brier_score_loss(y, p, sample_weight=w))
    assert found["base_rate"] == pytest.approx(np.average(y, weights=w))


def test_lift_and_calibration_error_by_hand():
    p = np.linspace(1, 0, 100)
    y = np.zeros(100, int)
    y[[0, 3, 50, 99]] = 1
    figures = ScoredSample(y, p).figures()
    assert figures["lift_top_1pct"] == pytest.approx(25)  # a quarter of the returns in one hundredth of the lines
    assert figures["lift_top_5pct"] == pytest.approx(10)
    assert figures["lift_top_10pct"] == pytest.approx(5)
    exact = ScoredSample(np.array([0, 1] * 300), np.full(600, 0.5)).figures()
    assert exact["calibration_error"] == pytest.approx(0)
    assert ScoredSample(np.array([0, 1] * 300), np.full(600, 0.7)).figures()["calibration_error"] == pytest.approx(0.2)


def test_weights_repeat_whole_customers_and_keep_their_number():
    customer = np.array(["a", "b", "a", "c", "b", "a"])
    for w in customer_weights(customer, 50, seed=1):
        assert w[0] == w[2] == w[5]
        assert w[1] == w[4]
        assert w[0] + w[1] + w[3] == 3


def test_a_weight_vector_is_a_repeated_sample():
    rng = np.random.default_rng(0)
    y, p, customer = rng.integers(0, 2, 300), rng.random(300), rng.integers(0, 40, 300)
    w = next(iter(customer_weights(customer, 1, seed=3)))
    repeated = np.repeat(np.arange(300), w)
    direct = ScoredSample(y[repeated], p[repeated]).figures()
    for name, value in ScoredSample(y, p).figures(w).items():
        if name != "calibration_error" and not name.startswith("lift"):  # these use bins and shares of the given rows
            assert value == pytest.approx(direct[name])


def test_intervals_hold_the_value_and_a_better_model_is_seen():
    rng = np.random.default_rng(0)
    margin = rng.normal(size=4_000)
    y = (rng.random(4_000) < 1 / (1 + np.exp(-2 * margin))).astype(int)
    good, poor = ScoredSample(y, 1 / (1 + np.exp(-2 * margin))), ScoredSample(y, rng.random(4_000))
    customer = rng.integers(0, 500, 4_000)
    low, high = bootstrap_intervals(good, customer, replicates=100, seed=1)["auc"]
    assert low < good.figures()["auc"] < high
    value, low, high = paired_difference(good, poor, customer, replicates=100, seed=1)["auc"]
    assert 0.2 < low < value < high
    assert paired_difference(good, good, customer, replicates=20, seed=1)["log_loss"] == (0, 0, 0)


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match="probabilities"):
        ScoredSample(np.array([0, 1]), np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match="all 2 have y = 1"):
        ScoredSample(np.array([1, 1]), np.array([0.5, 0.5]))
