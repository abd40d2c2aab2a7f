"""Effect sizes with exact values, and what they decide."""

import numpy as np
import pytest

from returnml.modeling.data.drift_reference import (
    Histogram,
    describe,
)
from returnml.monitoring.drift import (
    SCORE,
    ColumnDrift,
    bin_counts,
    judge_column,
    judge_period,
    population_stability_index,
)
from returnml.settings import DriftSettings

SETTINGS = DriftSettings(psi_threshold=0.25, ks_threshold=0.15, min_rows=10, share_of_features=0.5)
HALVES = Histogram(edges=[1.0], shares=[0.5, 0.5], share_missing=0.0)


def test_values_are_counted_in_their_bin_and_period():
    values = np.array([0.5, 1.0, 2.0, np.nan, 0.0], np.float32)
    period = np.array([0, 0, 1, 1, 1])
    assert bin_counts(values, HALVES, period, 2).tolist() == [[1, 1, 0], [1, 1, 1]]


def test_the_reference_itself_has_not_drifted():
    values = np.random.default_rng(0).normal(size=5_000).astype(np.float32)
    histogram = describe(values, 10)
    counts = bin_counts(values, histogram, np.zeros(len(values), np.int64), 1)[0]
    drift = judge_column("x", counts, histogram, SETTINGS)
    assert drift.psi == pytest.approx(0, abs=1e-12)
    assert drift.ks == pytest.approx(0, abs=1e-12)
    assert not drift.is_drifted


def test_psi_and_ks_by_hand():
    drift = judge_column("x", np.array([80, 20, 0]), HALVES, SETTINGS)
    p, q = np.array([80.5, 20.5, 0.5]) / 101.5, np.array([50.5, 50.5, 0.5]) / 101.5
    assert drift.psi == pytest.approx(((p - q) * np.log(p / q)).sum())
    assert drift.ks == pytest.approx(0.3)
    assert drift.is_drifted


def test_a_column_that_breaks_upstream_drifts_by_its_missing_share():
    drift = judge_column("x", np.array([0, 0, 500]), HALVES, SETTINGS)
    assert (drift.ks, drift.share_missing, drift.is_drifted) == (None, 1.0, True)
    assert drift.psi > 5


def test_few_rows_decide_nothing():
    drift = judge_column("x", np.array([9, 0, 0]), HALVES, SETTINGS)
    assert drift.psi > SETTINGS.psi_threshold
    assert not drift.is_drifted
    assert population_stability_index(np.array([0.5, 0.5, 0]), np.zeros(3, np.int64)) == 0.0


def column(name, is_drifted):
    return ColumnDrift(name, 100, 0.0, 0.0, 0.0, is_drifted)


@pytest.mark.parametrize(
    ("drifted", "expected"),
    [((), False), (("a",), False), (("a", "b"), True), ((SCORE,), True)],
)
def test_the_score_or_many_features_make_a_period_drift(drifted, expected):
    period = judge_period([column(name, name in drifted) for name in (SCORE, "a", "b", "c")], SETTINGS)
    assert period.is_drifted == expected
    assert period.drifted == tuple(n for n in (SCORE, "a", "b", "c") if n in drifted)
