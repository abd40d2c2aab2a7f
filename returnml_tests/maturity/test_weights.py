from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from returnml.features.windows import DAY_US
from returnml.maturity.weights import (
    known_share,
    young_weights,
)
from returnml.modeling.fit.boosting import train
from returnml.modeling.judging.evaluation import maturity_of
from returnml.modeling.making.candidate import train_release
from returnml.settings import LabelSettings
from returnml_tests.modeling.making.test_candidate import snapshot_in
from returnml_tests.modeling.shop import SETTINGS, TASK

NEVER = np.iinfo(np.int64).max


@given(st.floats(0.001, 0.999), st.floats(0.2, 1.0))
def test_the_weighted_loss_has_the_expectation_of_the_final_one(p: float, share: float):
    known, open_ = young_weights(np.array([True, False]), np.full(2, share), np.full(2, p))
    assert p * share * known == pytest.approx(p)
    assert (1 - p * share) * open_ == pytest.approx(1 - p)


def test_lines_whose_returns_are_all_known_have_weight_1():
    assert young_weights(np.array([True, False]), np.ones(2), np.array([0.3, 0.9])).tolist() == [1.0, pytest.approx(1.0)]


def test_the_known_share_of_a_small_shop():
    # three days of ordering, as of day 3: delays 0, 1, 2 have been seen by three, two and one of them
    day = np.array([0, 0, 0, 0, 1, 1, 2, 2]) * DAY_US + 5
    delay = [0, 1, 2, None, 0, 1, 0, 1]  # the last is not known yet
    known = np.array([NEVER if d is None else (at // DAY_US + d) * DAY_US + 9 for at, d in zip(day, delay, strict=True)])
    share = known_share(day, known, 3 * DAY_US, 2)
    # reverse hazards: g(2) = 1/3, g(1) = 2/4; the weekday of each is its own, and shrinks nothing here
    assert share[[0, 4, 6]] == pytest.approx([1.0, 2 / 3, 1 / 3], abs=0.02)
    with pytest.raises(ValueError, match="no return with a known time"):
        known_share(day, np.full(8, NEVER), 3 * DAY_US, 2)


def test_weighted_young_lines_carry_a_change_that_mature_ones_do_not_show():
    """The first input means nothing before day 40 and decides everything after it; the young lines are 3 to 20 days old."""
    rng = np.random.default_rng(1)
    n = 12_000
    at = np.sort(rng.uniform(0, 60, n))
    x = rng.normal(size=(n, 2)).astype(np.float32)
    p = np.where(at < 40, 0.2, 0.05 + 0.4 * (x[:, 0] > 0))
    final = rng.random(n) < p
    ordered = (at * DAY_US).astype(np.int64)
    known = np.where(final, ordered + (rng.integers(1, 21, n) * DAY_US), NEVER)
    as_of = 60 * DAY_US
    is_known = known < as_of
    share = known_share(ordered, known, as_of, 21)
    young = (at >= 40) & (share >= 0.2)
    weight = np.ones(n)
    weight[young] = young_weights(is_known[young], share[young], np.full(young.sum(), 0.2))
    params = {"objective": "binary", "num_leaves": 4, "verbose": -1, "seed": 1, "num_threads": 1, "deterministic": True}
    rows = (at < 40) | young
    label = np.where(young, is_known, final)
    weighted = train(x[rows], label[rows].astype(int), ["a", "b"], params, 30, weight=weight[rows])
    mature = train(x[at < 40], final[at < 40].astype(int), ["a", "b"], params, 30)
    probe = np.array([[1.5, 0.0], [-1.5, 0.0]], np.float32)
    assert np.ptp(weighted.margin(probe)) > 0.5 > np.ptp(mature.margin(probe))
    # as negatives, the open labels would make the shop look better than it is
    naive = np.where(young, is_known, final)[young].mean()
    assert np.average(label[young], weights=weight[young]) == pytest.approx(final[young].mean(), abs=0.02)
    assert naive < final[young].mean() - 0.05


def test_a_release_with_young_lines_is_judged_on_the_same_mature_hold_out(tmp_path: Path):
    snapshot = snapshot_in(tmp_path)
    weighted_settings = msgspec.structs.replace(
        SETTINGS, training=msgspec.structs.replace(SETTINGS.training, young_lines="weighted")
    )
    plain = train_release(snapshot, TASK, SETTINGS, tmp_path / "plain")
    weighted = train_release(snapshot, TASK, weighted_settings, tmp_path / "weighted")
    assert weighted.release.manifest.parameters["young_lines"] == "weighted"
    assert weighted.model.texts != plain.model.texts
    for name in ("rows", "positives", "holdout_start_us", "maturity"):
        assert getattr(weighted.evaluation, name) == getattr(plain.evaluation, name)
    assert weighted.evaluation.maturity.mature_share == 1.0
    assert weighted.release.manifest.metrics["maturity_days"] == 33.0


def test_a_figure_of_young_lines_says_so():
    found = maturity_of(np.array([0, 10, 39]) * DAY_US, 40 * DAY_US, LabelSettings(window_days=30, grace_days=3))
    assert (found.days, found.youngest_days) == (33, 1)
    assert found.mature_share == pytest.approx(1 / 3)
    assert str(found) == "33% mature (30 days of label window and 3 of grace), the youngest 1 days old"


def test_what_flags_tell_waits_for_no_grace():
    anchors, label = np.array([0, 9, 10]) * DAY_US, LabelSettings(window_days=30, grace_days=3)
    found = maturity_of(anchors, 40 * DAY_US, label, told_by_flags=True)
    assert (found.days, found.mature_share) == (30, 1.0)
    assert str(found) == "100% mature (30 days of label window, after which the shop's flags are final), the youngest 30 days old"
