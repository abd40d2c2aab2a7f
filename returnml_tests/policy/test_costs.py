"""Expected costs: exact values, and one row equals many."""

import numpy as np

from returnml.policy.costs import expected_cost_cents
from returnml.settings import CostSettings

COSTS = CostSettings(freight_cents=450, handling_cents=300, markdown_share=0.15)


def test_exact_values():
    cost = expected_cost_cents(np.array([0.0, 0.5, 1.0]), np.array([5_000, 10_000, 0]), COSTS)
    assert cost.dtype == np.int64
    assert cost.tolist() == [0, 1125, 750]


def test_a_row_alone_costs_what_it_costs_among_many():
    rng = np.random.default_rng(0)
    probability = rng.random(1_001).astype(np.float32)
    value = rng.integers(1, 10**9, 1_001)
    together = expected_cost_cents(probability, value, COSTS)
    alone = [expected_cost_cents(probability[i : i + 1], value[i : i + 1], COSTS)[0] for i in range(1_001)]
    assert together.tolist() == alone
