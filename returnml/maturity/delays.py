"""How long goods take to come back, estimated from lines of which the youngest may still come back.

A run-off table holds, for each day of ordering (cohort) and each delay in UTC days, what became known then. Of a cohort
of age ``a`` only delays up to ``a`` are seen: returns are *right-truncated*, and their plain histogram would make all
delays look short. The product-limit estimator in reverse time (Lagakos, Barraj and De Gruttola 1988, Biometrika 75;
Kalbfleisch and Lawless 1989, JASA 84) conditions on what each cohort could have shown: the reverse hazard
``g(j) = P(delay = j | delay <= j)`` is the share that delay ``j`` has of all returns up to ``j`` in the cohorts seen
up to ``j``, and ``F(a) = product over j > a of (1 - g(j))``. It is the chain-ladder estimate (Mack 1993, ASTIN Bulletin
23) written as probabilities, and needs no constant return rate. Why not a library: ``docs/decisions/maturity.md``.

Not here: what a cohort still owes (``projection``), and which events count (``warehouse.forecasts.run_off``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

WEEKDAYS = 7
GROUP_PRIOR_RETURNS = 100.0
"""A product group's own hazard weighs as much as the shop's once it rests on this many returns."""
WEEKDAY_PRIOR_RETURNS = 50.0
_ROUNDS = 5


@dataclass(frozen=True)
class RunOff:
    """Cohorts by delay. Entries beyond what the data reach are 0 and are never read as observed.

    Attributes:
        first_day: the first cohort's day of ordering (UTC).
        groups: product groups, G of them.
        exposure: lines (or what else returns are in proportion to) by the delay at which they became known, less those
            cancelled; float64, shape (G, cohorts, delays).
        events: returns by the delay at which they became known; shape of ``exposure``.
    """

    first_day: date
    groups: tuple[str, ...]
    exposure: np.ndarray
    events: np.ndarray

    @property
    def cohorts(self) -> int:
        return self.events.shape[1]

    @property
    def last_delay(self) -> int:
        return self.events.shape[2] - 1


@dataclass(frozen=True)
class Delays:
    """The distribution of the delay of a return, given that it comes at a delay of the table.

    Attributes:
        hazard: reverse hazards ``g(j)``, shape (G, delays); 0 where no cohort is old enough to show that delay.
        weekday: factor on the hazard by the weekday (Monday is 0) on which goods are booked, shape (7,).
        log_variance: variance of ``ln F(a)`` by Greenwood's formula in reverse time, shape (G, delays).
    """

    hazard: np.ndarray
    weekday: np.ndarray
    log_variance: np.ndarray

    def cumulative(self, cohort_weekday: np.ndarray) -> np.ndarray:
        """``F(a)`` of cohorts that began on these weekdays, shape (G, len(cohort_weekday), delays)."""
        delays = self.hazard.shape[1]
        factor = self.weekday[_booked_on(cohort_weekday, delays)]
        kept = 1.0 - np.minimum(self.hazard[:, None, :] * factor[None], 1.0)
        later = np.ones_like(kept)
        later[:, :, :-1] = np.cumprod(kept[:, :, :0:-1], axis=2)[:, :, ::-1]
        return later


def estimate_delays(events: np.ndarray, observed: np.ndarray, cohort_weekday: np.ndarray) -> Delays:
    """Estimate from a block of cohorts.

    Args:
        events: returns, shape (G, n, delays).
        observed: whether the delay of that cohort has been seen, bool, shape (n, delays); True up to the cohort's age.
        cohort_weekday: of the cohorts' days (Monday is 0), shape (n,).

    >>> all_seen = np.ones((1, 3), bool)
    >>> delays = estimate_delays(np.array([[[1.0, 2.0, 1.0]]]), all_seen, np.array([0]))
    >>> np.round(delays.hazard[0], 2).tolist()  # 1/1, 2/3, 1/4
    [1.0, 0.67, 0.25]
    """
    count = np.where(observed, events, 0.0)
    so_far = np.where(observed, np.cumsum(events, axis=2), 0.0)
    booked = _booked_on(cohort_weekday, events.shape[2])
    shop_count, shop_so_far = count.sum(axis=0), so_far.sum(axis=0)
    weekday = np.ones(WEEKDAYS)
    hazard = _ratio(shop_count.sum(axis=0), shop_so_far.sum(axis=0))
    for _ in range(_ROUNDS):  # two factors, each by the other: iterative proportional fitting
        expected = hazard * shop_so_far
        seen, due = (np.bincount(booked[:, 1:].ravel(), x[:, 1:].ravel(), WEEKDAYS) for x in (shop_count, expected))
        weekday = (seen + WEEKDAY_PRIOR_RETURNS) / (due + WEEKDAY_PRIOR_RETURNS)
        hazard = _ratio(shop_count.sum(axis=0), (shop_so_far * weekday[booked]).sum(axis=0))
    at_risk = (so_far * weekday[booked]).sum(axis=1)
    own = (count.sum(axis=1) + GROUP_PRIOR_RETURNS * hazard) / (at_risk + GROUP_PRIOR_RETURNS)
    own = np.minimum(own if len(events) > 1 else hazard[None], 1.0)
    weight = at_risk + (GROUP_PRIOR_RETURNS if len(events) > 1 else 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        term = np.where((own > 0) & (own < 1), own / ((1 - own) * weight), 0.0)
    log_variance = np.zeros_like(term)
    log_variance[:, :-1] = np.cumsum(term[:, :0:-1], axis=1)[:, ::-1]
    return Delays(own, weekday, log_variance)


def weekdays(first_day: date, start: int, stop: int) -> np.ndarray:
    """Weekdays (Monday is 0) of the cohorts ``start`` to ``stop - 1`` of a table that begins on ``first_day``."""
    return (first_day.weekday() + np.arange(start, stop)) % WEEKDAYS


def _booked_on(cohort_weekday: np.ndarray, delays: int) -> np.ndarray:
    return (cohort_weekday[:, None] + np.arange(delays)) % WEEKDAYS


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
