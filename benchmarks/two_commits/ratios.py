"""What the rounds say of new/old."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from statistics import median


def median_ratio(old: Sequence[float], new: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Median of new/old round by round, and an interval that covers it with at least the given confidence.

    The interval is one of order statistics, which assumes nothing but that rounds are alike and independent:

    >>> median_ratio([1.0] * 9, [0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 9.0])
    (1.3, 1.0, 1.6)

    Raises:
        ValueError: where there are too few rounds for the confidence.
    """
    ratios = sorted(n / o for o, n in zip(old, new, strict=True))
    rounds, cut, tail = len(ratios), 0, 0.0
    while cut < rounds and 2 * (tail + comb(rounds, cut) / 2**rounds) <= 1 - confidence:
        tail += comb(rounds, cut) / 2**rounds
        cut += 1
    if cut == 0:
        raise ValueError(f"{rounds} rounds are too few for an interval of {confidence:.0%}")
    return median(ratios), ratios[cut - 1], ratios[rounds - cut]
