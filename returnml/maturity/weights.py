"""Weights with which lines whose label is still open may be trained on.

A line of age ``a`` that has not come back may still do so. With ``F(a)`` the share of returns that are known by age ``a``
(independent of the features; see ``delays``), ``s`` whether its return is known and ``p`` its probability:

    s = 1: a certain positive, seen with probability p F(a) where p was meant      -> weight 1 / F(a)
    s = 0: a negative with probability (1 - p) / (1 - p F(a)), a young return else -> that as weight

The weighted loss of young lines then has the expectation of the loss on their final labels:
``E = p F * (1 / F) * loss(1) + (1 - p F) * (1 - p) / (1 - p F) * loss(0) = p * loss(1) + (1 - p) * loss(0)``. This is
inverse-probability-of-censoring weighting (Robins and Rotnitzky 1992) in the form of the feedback-shift correction (Yasui,
Morishita, Komiyama and Shibata 2020, WWW). It needs no negative weights, which boosting could not take; ``p`` is of a
model of mature lines and only decides how much the open negatives count.
"""

from __future__ import annotations

import numpy as np

from returnml.features.windows import DAY_US
from returnml.instants import day_of
from returnml.maturity.delays import (
    estimate_delays,
    weekdays,
)

LEAST_SHARE = 0.2
"""Lines so young that fewer of their returns are known stay out: one would stand for more than five."""


def known_share(ordered_at_us: np.ndarray, return_known_at_us: np.ndarray, as_of_us: int, maturity_days: int) -> np.ndarray:
    """``F(age)`` of each line as of an instant, from what was known of these lines then.

    Args:
        ordered_at_us: int64, shape (n,), all before ``as_of_us``.
        return_known_at_us: when the first return that counts became known, int64, shape (n,); what is not before
            ``as_of_us``, and the largest integer for lines without one, was not known then.
        as_of_us: start of a UTC day.
        maturity_days: a return's longest delay.

    Raises:
        ValueError: if no return was known.
    """
    first = int(ordered_at_us.min()) // DAY_US
    cohort = ordered_at_us // DAY_US - first
    age = as_of_us // DAY_US - 1 - (first + np.arange(int(cohort.max()) + 1))
    is_known = return_known_at_us < as_of_us
    if not is_known.any():
        raise ValueError("no return with a known time: lines with open labels cannot be weighted")
    delay = np.minimum(return_known_at_us[is_known] // DAY_US - first - cohort[is_known], maturity_days)
    events = np.zeros((1, len(age), maturity_days + 1))
    np.add.at(events[0], (cohort[is_known], np.maximum(delay, 0)), 1.0)
    observed = np.arange(maturity_days + 1)[None] <= age[:, None]
    began = weekdays(day_of(first * DAY_US), 0, len(age))
    cumulative = estimate_delays(events, observed, began).cumulative(began)[0]
    return cumulative[np.arange(len(age)), np.minimum(age, maturity_days)][cohort]


def young_weights(is_returned: np.ndarray, share: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The weight of each young line.

    Args:
        is_returned: whether its return is known, bool, shape (n,).
        share: ``F(age)``, above 0, shape (n,).
        probability: that it comes back in the end, shape (n,).

    >>> young_weights(np.array([True, False]), np.array([0.5, 0.5]), np.array([0.3, 0.3])).round(3).tolist()
    [2.0, 0.824]
    """
    return np.where(is_returned, 1.0 / share, (1.0 - probability) / (1.0 - probability * share))
