"""Decisions: exact values, ties, segments, exploration, and one line equals many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from returnml.policy.decisions import Decider
from returnml.policy.document import ACTIONS, Costs, Effect, Effects, GroupCosts, LeastCost, Policy, Segment, Thresholds

COSTS = Costs(freight_cents=450, handling_cents=300, markdown_share=0.15, margin_share=0.4)
EFFECTS = Effects(nudge=Effect(0.1, 0.0, 0), review=Effect(0.5, 0.1, 100), restrict=Effect(1.0, 1.0, 0))


def lines(n: int, **columns):
    return {name: [None] * n for name in ("order_id", "product_group", "country")} | columns


def test_exact_costs():
    policy = Policy(
        costs=COSTS, effects=EFFECTS, rule=LeastCost(("review",)), product_groups={"shoes": GroupCosts(freight_cents=50)}
    )
    decided = Decider(policy).decide(np.array([0.5, 0.5]), np.array([10_000, 10_000]), lines(2, product_group=["shoes", "hats"]))
    # 0.5 x (50 + 300 + 1500) and 0.5 x (450 + 300 + 1500)
    assert decided.expected_cost_cents.tolist() == [925, 1125]
    # nine tenths of the sales, half of the returns; a tenth of the margin 4000 that half of the lines earn; the review
    assert decided.action_cost_cents.tolist() == [round(0.45 * 925 + 200 + 100), round(0.45 * 1125 + 200 + 100)]
    assert decided.action_names() == ["review", "review"]


@pytest.mark.parametrize(
    ("probability", "action"),
    [(0.0, "allow"), (0.2, "nudge"), (0.95, "restrict")],
)
def test_the_least_cost(probability, action):
    # nothing to lose by allowing a line that never comes back; restricting loses the margin of those that are kept
    policy = Policy(costs=COSTS, effects=EFFECTS, rule=LeastCost())
    assert Decider(policy).decide(np.array([probability]), np.array([10_000]), lines(1)).action_names() == [action]


def test_of_two_that_cost_the_same_the_milder():
    policy = Policy(effects=Effects(Effect(), Effect(), Effect()), rule=LeastCost(("restrict", "nudge", "review")))
    assert Decider(policy).decide(np.array([0.5]), np.array([100]), lines(1)).action_names() == ["nudge"]


def test_thresholds_are_reached_from_below():
    policy = Policy(rule=Thresholds(nudge=0.25, restrict=0.75))
    decided = Decider(policy).decide(np.array([0.2499, 0.25, 0.7499, 0.75], np.float32), np.full(4, 100), lines(4))
    assert decided.action_names() == ["allow", "nudge", "nudge", "restrict"]


def test_the_first_segment_that_matches_counts():
    segments = (
        Segment("on account", {"country": ["FR", "ES"], "payment_method": ["invoice"]}, Thresholds(restrict=0.0)),
        Segment("France", {"country": ["FR"]}, Thresholds(review=0.0)),
    )
    policy = Policy(rule=Thresholds(), segments=segments)
    found = {"country": ["FR", "FR", "ES", None], "payment_method": ["invoice", None, "card", "invoice"]}
    decided = Decider(policy).decide(np.full(4, 0.5), np.full(4, 100), found)
    assert decided.segment.tolist() == [0, 1, -1, -1]
    assert decided.action_names() == ["restrict", "review", "allow", "allow"]


def test_exploration_draws_whole_orders_by_their_id():
    policy = Policy(rule=Thresholds(restrict=0.0), exploration_share=0.25)
    orders = [f"o{n // 2}" for n in range(20_000)]
    decided = Decider(policy).decide(np.full(20_000, 0.9), np.full(20_000, 100), lines(20_000, order_id=orders))
    explored = decided.is_explored.reshape(-1, 2)
    assert (explored[:, 0] == explored[:, 1]).all()
    assert 0.23 < explored.mean() < 0.27
    assert (decided.action[decided.is_explored] == 0).all()
    assert (decided.action[~decided.is_explored] == ACTIONS.index("restrict")).all()
    other = Decider(Policy(rule=Thresholds(restrict=0.0), exploration_share=0.25, exploration_seed="2"))
    assert (
        other.decide(np.full(20_000, 0.9), np.full(20_000, 100), lines(20_000, order_id=orders)).is_explored
        != decided.is_explored
    ).any()


def test_only_the_columns_that_a_policy_names_are_read():
    assert Decider(Policy()).columns == ()
    policy = Policy(
        product_groups={"shoes": GroupCosts()}, exploration_share=0.1, segments=(Segment("x", {"brand": ["b"]}, Thresholds()),)
    )
    assert Decider(policy).columns == ("order_id", "product_group", "brand")
    with pytest.raises(KeyError, match="product_group"):
        Decider(policy).decide(np.array([0.5]), np.array([1]), {"order_id": ["o"], "brand": ["b"]})


@given(
    st.lists(
        st.tuples(st.floats(0, 1, width=32), st.integers(1, 1 << 35), st.sampled_from(["shoes", "hats", None])),
        min_size=1,
        max_size=50,
    )
)
def test_a_line_alone_is_decided_as_among_many(found):
    policy = Policy(
        effects=EFFECTS,
        rule=LeastCost(),
        product_groups={"shoes": GroupCosts(markdown_share=0.33)},
        segments=(Segment("hats", {"product_group": ["hats"]}, LeastCost(("allow", "restrict"))),),
        exploration_share=0.3,
    )
    decider = Decider(policy)
    p, value = np.array([f[0] for f in found], np.float32), np.array([f[1] for f in found])
    columns = {"order_id": [f"o{i}" for i in range(len(found))], "product_group": [f[2] for f in found]}
    together = decider.decide(p, value, columns)
    for i in range(len(found)):
        alone = decider.decide(p[i : i + 1], value[i : i + 1], {name: values[i : i + 1] for name, values in columns.items()})
        for field in ("action", "expected_cost_cents", "action_cost_cents", "segment", "is_explored"):
            assert getattr(alone, field)[0] == getattr(together, field)[i]
