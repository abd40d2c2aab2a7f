"""What young cohorts still owe, as of a cut-off: expected returns by cohort, and by future day.

The level of each cohort is a compromise between its own returns so far, scaled up (chain ladder), and the shop's
current rate (Bornhuetter and Ferguson 1972), weighted by a gamma prior: the Bayesian over-dispersed Poisson model of
England, Verrall and Wuethrich (2012, Insurance: Mathematics and Economics 51). The current rate is the "Cape Cod"
estimate, which reads young cohorts too, as far as they have run off, with weights that halve (Gluck 1997).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from returnml.errors import Refusal
from returnml.maturity.delays import (
    Delays,
    RunOff,
    estimate_delays,
    weekdays,
)

DELAY_COHORTS = 90
"""Days of cohorts, beside those that are still running off, from which the delays are estimated."""
RATE_HALF_LIFE_DAYS = 14.0
RATE_PRIOR_RETURNS = 10.0
"""A product group's own rate weighs as much as the shop's once it rests on this many returns."""
MIN_COHORTS = 7
"""Cohorts beside those of one full maturity: with fewer there is no distribution to speak of."""
_LARGEST_SHAPE = 1e6


class MaturityError(Refusal):
    """Too little history, or none with return times; the message says what is needed."""


@dataclass(frozen=True)
class Projection:
    """As of a cut-off, for each product group and cohort of the last ``delays`` days, oldest first.

    Attributes:
        cohorts: index of each cohort in the run-off table, shape (n,).
        exposure, returned: so far, shape (G, n).
        ultimate: expected returns when all delays are through, shape (G, n).
        remaining: of these, still to come; shape (G, n).
        variance: of the process and of each cohort's level, about what is still to come; shape (G, n).
        estimate_sd: standard deviation of what is still to come from the estimation of the delays, which is common
            to all cohorts of a group; shape (G, n).
        cumulative: share of the ultimate that is back by each delay, shape (G, n, delays).
        rate: the groups' current ultimate returns per unit of exposure, shape (G,).
        shape: of the gamma prior: 1 / shape is the squared coefficient of variation between cohorts.
    """

    cut_off: int
    cohorts: np.ndarray
    exposure: np.ndarray
    returned: np.ndarray
    ultimate: np.ndarray
    remaining: np.ndarray
    variance: np.ndarray
    estimate_sd: np.ndarray
    cumulative: np.ndarray
    rate: np.ndarray
    shape: float
    delays: Delays

    def by_day(self, days: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the returns on each of the coming days, from the lines ordered so far.

        Returns:
            Two arrays of shape (G, days); day 0 is the one that begins at the cut-off.
        """
        share = np.diff(self.cumulative, axis=2, prepend=0.0)
        delay = self.cut_off + np.arange(days)[None] - self.cohorts[:, None]
        known = delay < share.shape[2]
        index = np.broadcast_to(np.minimum(delay, share.shape[2] - 1), (len(share), *delay.shape))
        due = np.take_along_axis(share, index, axis=2) * known * self.ultimate[:, :, None]
        level = due**2 / (self.shape + self.returned)[:, :, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(self.remaining[:, :, None] > 0, due / self.remaining[:, :, None], 0.0)
        common = (part * self.estimate_sd[:, :, None]).sum(axis=1)
        return due.sum(axis=1), (due + level).sum(axis=1) + common**2


def project(table: RunOff, cut_off: int, min_delay: int | None = None) -> Projection:
    """Project the cohorts that are still running off.

    Reads nothing that became known at or after the cut-off, and at most ``DELAY_COHORTS`` cohorts before the oldest
    of them, so that a longer table gives the same numbers.

    Args:
        table: at least ``cut_off`` cohorts, counted from the shop's first day or from far enough before the cut-off.
        cut_off: index of the day that begins at the cut-off: cohorts before it have been ordered.
        min_delay: longest delay that the history must show, default all of the table's. Delays that no cohort is old
            enough for count as impossible.

    Raises:
        MaturityError: if the history is too short, or nothing has come back in it.
    """
    delays = table.last_delay + 1
    needed = days_needed(table.last_delay if min_delay is None else min_delay)
    if cut_off < needed:
        raise MaturityError(f"{cut_off} days of orders before the cut-off; {needed} are needed to see how long returns take")
    start = first_cohort(table, cut_off)
    age = cut_off - 1 - np.arange(start, cut_off)
    observed = np.arange(delays)[None] <= age[:, None]
    events = np.where(observed, table.events[:, start:cut_off], 0.0)
    if not events.any():
        raise MaturityError("no return with a known time before the cut-off: there is no delay to learn from")
    cohort_weekday = weekdays(table.first_day, start, cut_off)
    estimated = estimate_delays(events, observed, cohort_weekday)
    cumulative = estimated.cumulative(cohort_weekday)
    exposure = np.where(observed, table.exposure[:, start:cut_off], 0.0).sum(axis=2)
    returned = events.sum(axis=2)
    run_off = _at_age(cumulative, age)
    rate = _current_rate(exposure * run_off, returned, age)
    prior = rate[:, None] * exposure
    shape = _shape(prior * run_off, returned)
    ultimate = prior * (shape + returned) / (shape + prior * run_off)
    credibility = prior * run_off / (shape + prior * run_off)
    remaining = ultimate * (1 - run_off)
    log_sd = np.sqrt(np.take_along_axis(estimated.log_variance, np.minimum(age, delays - 1)[None], axis=1))
    young = slice(max(0, len(age) - delays), None)
    return Projection(
        cut_off=cut_off,
        cohorts=np.arange(start, cut_off)[young],
        exposure=exposure[:, young],
        returned=returned[:, young],
        ultimate=ultimate[:, young],
        remaining=remaining[:, young],
        variance=(remaining + remaining**2 / (shape + returned))[:, young],
        # d remaining / d ln F: -ultimate where the cohort speaks for itself, -ultimate * F where the prior does.
        estimate_sd=(ultimate * (credibility + (1 - credibility) * run_off) * log_sd)[:, young],
        cumulative=cumulative[:, young],
        rate=rate,
        shape=shape,
        delays=estimated,
    )


def days_needed(longest_delay: int) -> int:
    """Days of orders that must lie before a cut-off."""
    return longest_delay + 1 + MIN_COHORTS


def first_cohort(table: RunOff, cut_off: int) -> int:
    """The first cohort that a projection reads."""
    return max(0, cut_off - table.last_delay - 1 - DELAY_COHORTS)


def has_returns(table: RunOff, cut_off: int) -> bool:
    """Whether any return is among the lines that a projection reads."""
    start = first_cohort(table, cut_off)
    cohort, delay = np.nonzero(table.events[:, start:cut_off].any(axis=0))
    return bool((start + cohort + delay < cut_off).any())


def _current_rate(used: np.ndarray, returned: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Cape Cod: returns over the exposure that has run off, recent cohorts weighing most; groups shrunk to the shop."""
    weight = 0.5 ** (age / RATE_HALF_LIFE_DAYS)
    seen, due = (weight * returned).sum(axis=1), (weight * used).sum(axis=1)
    shop = seen.sum() / due.sum()
    return (seen + RATE_PRIOR_RETURNS) / (due + RATE_PRIOR_RETURNS / shop)


def _shape(expected: np.ndarray, returned: np.ndarray) -> float:
    """Between-cohort variation beyond Poisson, by moments: ``E (C - E)^2 = E + E^2 / shape``."""
    excess = ((returned - expected) ** 2 - expected).sum()
    squares = (expected**2).sum()
    return float(min(squares / excess, _LARGEST_SHAPE)) if excess > 0 else _LARGEST_SHAPE


def _at_age(cumulative: np.ndarray, age: np.ndarray) -> np.ndarray:
    index = np.minimum(age, cumulative.shape[2] - 1)[None, :, None]
    return np.take_along_axis(cumulative, np.broadcast_to(index, (*cumulative.shape[:2], 1)), axis=2)[:, :, 0]
