"""What comes back, when, why, and in what state: draws from the truth of :mod:`behaviour`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from returnml.features.windows import DAY_US, HOUR_US
from returnml.sources.simulator.baskets import Lines
from returnml.sources.simulator.behaviour import Behaviour, delay_quantile
from returnml.sources.simulator.simulation_plan import Plan
from returnml.sources.simulator.world import Abuse, Customers, Ints

REASONS = ("too_small", "too_large", "quality", "not_as_pictured", "changed_mind", "late_delivery", "several_sizes")
VERDICTS = ("as_new", "worn", "damaged", "empty_box", "wrong_article")
CANCELLED_SHARE = 0.008
_VERDICT_SHARES = {
    Abuse.NONE: (0.93, 0.03, 0.025, 0.001, 0.014),
    Abuse.WARDROBING: (0.25, 0.68, 0.05, 0.0, 0.02),
    Abuse.SERIAL: (0.85, 0.1, 0.04, 0.0, 0.01),
    Abuse.EMPTY_BOX: (0.3, 0.02, 0.03, 0.6, 0.05),
}


@dataclass(frozen=True)
class Returns:
    """One entry per return, by time.

    Attributes:
        line: index of the order line; ``at_us`` since the start of the span.
        reason: -1 where the customer gave none.
        inspected_us: since the start of the span; ``verdict`` -1 where it is not inspected (cancellations).
    """

    line: Ints
    at_us: Ints
    quantity: Ints
    reason: Ints
    is_cancellation: NDArray[np.bool_]
    inspected_us: Ints
    verdict: Ints

    def __len__(self) -> int:
        return len(self.line)


def draw_returns(plan: Plan, lines: Lines, behaviour: Behaviour, customers: Customers) -> Returns:
    """Draw all returns of the lines, also those that come back after the span.

    Cancelled orders (all pieces of all lines, minutes to hours after the order) have no other return.
    """
    rng = plan.generator("returns")
    cancelled_order = rng.random(int(lines.order[-1]) + 1) < CANCELLED_SHARE
    is_cancelled = cancelled_order[lines.order]
    comes_back = rng.random(len(lines)) < behaviour.probability_any
    line = np.flatnonzero(comes_back | is_cancelled)
    n = len(line)
    cancelled = is_cancelled[line]
    delay_days = delay_quantile(rng.random(n), behaviour.median_days[line])
    hours_to_cancel = (rng.random(len(cancelled_order)) * 5 + 0.05)[lines.order[line]]
    delay_us = np.where(cancelled, hours_to_cancel * HOUR_US, np.minimum(delay_days, 59.999) * DAY_US).astype(np.int64)

    ordered = lines.quantity[line]
    some = 1 + (rng.random(n) * (ordered - 1)).astype(np.int64)
    quantity = np.where(cancelled | (rng.random(n) < 0.6), ordered, some)
    at_us = lines.at_us[line] + delay_us
    reason = _reasons(rng, lines, behaviour, line)
    verdict = _verdicts(rng, customers.abuse[lines.customer[line]])
    inspected = at_us + (rng.gamma(2.0, 0.8, n) * DAY_US).astype(np.int64) + HOUR_US
    by_time = np.lexsort((line, at_us))
    return Returns(
        line=line[by_time],
        at_us=at_us[by_time],
        quantity=quantity[by_time],
        reason=np.where(cancelled, -1, reason)[by_time],
        is_cancellation=cancelled[by_time],
        inspected_us=inspected[by_time],
        verdict=np.where(cancelled, -1, verdict)[by_time],
    )


def _reasons(rng: np.random.Generator, lines: Lines, behaviour: Behaviour, line: Ints) -> Ints:
    """Misfit speaks first, then trying several sizes; the rest is mixed, and a fifth gives no reason."""
    n = len(line)
    misfit = behaviour.misfit[line]
    reason = rng.choice([2, 3, 4, 5], n, p=(0.3, 0.25, 0.37, 0.08))
    several = lines.sizes_of_article[line] > 1
    reason = np.where(several & (rng.random(n) < 0.6), REASONS.index("several_sizes"), reason)
    honest = rng.random(n) < 0.8
    reason = np.where((misfit < -0.6) & honest, REASONS.index("too_small"), reason)
    reason = np.where((misfit > 0.6) & honest, REASONS.index("too_large"), reason)
    return np.where(rng.random(n) < 0.2, -1, reason)


def _verdicts(rng: np.random.Generator, abuse: Ints) -> Ints:
    cumulative = np.cumsum([_VERDICT_SHARES[kind] for kind in Abuse], axis=1)[:, :-1]
    return (rng.random(len(abuse))[:, None] >= cumulative[abuse]).sum(axis=1)
