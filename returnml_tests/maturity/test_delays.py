from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from returnml.maturity.delays import (
    RunOff,
    estimate_delays,
    weekdays,
)


def seen(cohorts: int, delays: int) -> np.ndarray:
    """Observed: the youngest of the cohorts is 0 days old."""
    return np.arange(delays)[None] <= (cohorts - 1 - np.arange(cohorts))[:, None]


def test_reverse_hazards_of_a_small_triangle_are_the_chain_ladder():
    # three cohorts, delays 0 to 2; the youngest has shown delay 0 only, and its 4 must not make delays look short
    events = np.array([[[2.0, 4.0, 2.0], [1.0, 3.0, 0.0], [4.0, 0.0, 0.0]]])
    same_weekday = np.array([0, 0, 0])
    delays = estimate_delays(events, seen(3, 3), same_weekday)
    # every delay meets one weekday only, so that its factor cancels out: g(1) = 7/10, g(2) = 2/8
    cumulative = delays.cumulative(same_weekday)[0, 0]
    assert cumulative == pytest.approx([0.3 * 0.75, 0.75, 1.0], abs=1e-12)
    assert events[0, :, 0].sum() / events.sum() > 0.4  # what the plain histogram would say of delay 0


def test_a_delay_that_no_cohort_is_old_enough_for_counts_as_impossible():
    events = np.array([[[2.0, 2.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]]])
    delays = estimate_delays(events, seen(2, 4), weekdays(date(2025, 1, 1), 0, 2))
    assert delays.hazard[0, 2:].tolist() == [0.0, 0.0]
    assert delays.cumulative(np.array([2]))[0, 0, 1:].tolist() == [1.0, 1.0, 1.0]


def test_a_weekday_without_bookings_gets_none():
    rng = np.random.default_rng(1)
    n, delays = 140, 15
    cohort_weekday = weekdays(date(2025, 1, 6), 0, n)
    booked = (cohort_weekday[:, None] + np.arange(delays)) % 7
    events = rng.poisson(40.0, (1, n, delays)) * (booked != 6)[None]
    estimated = estimate_delays(events.astype(float), np.ones((n, delays), bool), cohort_weekday)
    assert estimated.weekday[6] < 0.05
    assert np.all(estimated.weekday[:6] > 0.9)
    share = np.diff(estimated.cumulative(np.array([0])), axis=2, prepend=0.0)[0, 0]
    assert share[6] < 0.01 < share[5]


def test_the_known_delays_of_truncated_cohorts_are_recovered():
    rng = np.random.default_rng(3)
    n, delays = 150, 34
    true = 0.9 ** np.arange(delays) / (0.9 ** np.arange(delays)).sum()
    rate = np.linspace(0.15, 0.45, n)  # a return rate that triples must not bend the delays
    full = rng.poisson(1_000 * rate[:, None] * true)[None].astype(float)
    observed = seen(n, delays)
    days = weekdays(date(2025, 1, 1), 0, n)
    estimated = estimate_delays(np.where(observed, full, 0.0), observed, days).cumulative(days[:7])[0]
    assert np.abs(estimated.mean(axis=0) - np.cumsum(true)).max() < 0.01
    young = slice(n - 20, n)
    histogram = np.where(observed, full, 0.0)[0, young].sum(axis=0)
    assert np.abs(np.cumsum(histogram / histogram.sum()) - np.cumsum(true)).max() > 0.1


def test_a_small_group_leans_on_the_shop_and_a_large_one_on_itself():
    fast, slow = np.array([8.0, 2.0]), np.array([2.0, 8.0])
    observed = np.ones((1, 2), bool)
    for size, expected in ((1.0, 0.5), (10_000.0, 0.2)):
        events = np.stack([1_000_000 * (fast + slow), size * fast])[:, None, :]
        hazard = estimate_delays(events, observed, np.array([0])).hazard
        assert hazard[1, 1] == pytest.approx(expected, abs=0.05)


@given(arrays(np.float64, (2, 12, 6), elements=st.integers(0, 50)))
def test_the_distribution_rises_from_0_to_1_whatever_came_back(events: np.ndarray):
    observed = seen(12, 6)
    days = weekdays(date(2025, 1, 1), 0, 12)
    estimated = estimate_delays(np.where(observed, events, 0.0), observed, days)
    cumulative = estimated.cumulative(days)
    assert np.all((cumulative >= 0) & (cumulative <= 1))
    assert np.all(np.diff(cumulative, axis=2) >= 0)
    assert np.all(cumulative[:, :, -1] == 1)
    assert np.all(np.isfinite(estimated.log_variance))


def test_weekdays_count_from_monday():
    assert weekdays(date(2025, 1, 1), 0, 6).tolist() == [2, 3, 4, 5, 6, 0]
    assert RunOff(date(2025, 1, 1), ("a",), np.zeros((1, 4, 3)), np.zeros((1, 4, 3))).last_delay == 2
