"""The truth: its delay distribution and its probabilities."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from returnml.sources.simulator.baskets import draw_lines
from returnml.sources.simulator.behaviour import TARGET_RATE, delay_cdf, delay_quantile, describe
from returnml.sources.simulator.simulation_plan import Plan
from returnml.sources.simulator.world import ABUSE_SHARES, GROUPS, Abuse, draw_articles, draw_customers


@given(st.floats(0.0, 1.0), st.floats(2.0, 40.0))
def test_quantile_inverts_the_distribution(share: float, median: float) -> None:
    days = float(delay_quantile(np.array([share]), np.array([median]))[0])
    assert 1.0 <= days <= 60.0
    assert float(delay_cdf(days, np.array([median]))[0]) == pytest.approx(share, abs=1e-9)


def test_delays_end_at_60_days_and_are_skewed() -> None:
    median = np.array([8.5])
    assert delay_cdf(1.0, median)[0] == 0.0
    assert delay_cdf(60.0, median)[0] == 1.0
    assert 0.02 < 1 - delay_cdf(30.0, median)[0] < 0.06
    drawn = delay_quantile(np.linspace(0, 1, 1001), np.full(1001, 8.5))
    assert drawn.mean() > np.median(drawn) + 1


def test_probabilities_meet_the_target_and_follow_traits() -> None:
    plan = Plan(date(2025, 1, 1), 30, 600, 2)
    articles = draw_articles(plan)
    customers = draw_customers(plan, len(articles.brand_start) - 1)
    lines = draw_lines(plan, articles, customers)
    behaviour = describe(plan, lines, articles, customers)
    honest = customers.abuse[lines.customer] == Abuse.NONE
    p = behaviour.probability_any
    assert ((p > 0) & (p < 1)).all()
    assert p[honest].mean() == pytest.approx(TARGET_RATE, abs=0.01)
    assert p[~honest].mean() > p[honest].mean() + 0.1
    assert p[lines.sizes_of_article > 1].mean() > p[lines.sizes_of_article == 1].mean() + 0.15
    assert p[np.abs(behaviour.misfit) > 1.5].mean() > p[np.abs(behaviour.misfit) < 0.3].mean() + 0.15
    assert np.corrcoef(customers.habit[lines.customer], p)[0, 1] > 0.25
    assert (behaviour.misfit[lines.size < 0] == 0).all()


def test_world_adds_up() -> None:
    plan = Plan(date(2025, 1, 1), 60, 500, 2)
    articles = draw_articles(plan)
    customers = draw_customers(plan, len(articles.brand_start) - 1)
    assert sum(ABUSE_SHARES) == pytest.approx(1)
    assert sum(g.share for g in GROUPS) == pytest.approx(1)
    assert (np.diff(articles.brand) >= 0).all()
    assert (np.diff(customers.joined_day) >= 0).all()
    for brand, (low, high) in enumerate(zip(articles.brand_start[:-1], articles.brand_start[1:], strict=True)):
        assert (articles.brand[low:high] == brand).all()
    lines = draw_lines(plan, articles, customers)
    assert (lines.day >= customers.joined_day[lines.customer]).mean() > 0.999
    assert (np.diff(lines.at_us) >= 0).all()
    assert (lines.at_us // 86_400_000_000 == lines.day).all()
