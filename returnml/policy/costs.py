"""What a return of a line is expected to cost."""

from __future__ import annotations

import numpy as np

from returnml.settings import CostSettings


def expected_cost_cents(probability: np.ndarray, line_value_cents: np.ndarray, costs: CostSettings) -> np.ndarray:
    """Expected cost of returns: probability times freight, handling and the markdown on the goods.

    Args:
        probability: calibrated probability of a return, float32 or float64, shape (n,).
        line_value_cents: quantity times price, integer minor units, shape (n,).
        costs: of one return.

    Returns:
        int64 minor units, shape (n,), rounded half to even. The same bits for one row and for a million.

    >>> expected_cost_cents(np.array([0.5]), np.array([10_000]), CostSettings(450, 300, 0.15)).tolist()
    [1125]
    """
    per_return = float(costs.freight_cents + costs.handling_cents) + costs.markdown_share * line_value_cents.astype(np.float64)
    return np.rint(probability.astype(np.float64) * per_return).astype(np.int64)
