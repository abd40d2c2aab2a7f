"""Which days are the shop's, and which a mistyped date made: every day from the first on becomes a partition."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from itertools import pairwise

from returnml.contracts.rules import EARLIEST, LATEST

FAR = timedelta(days=366)
"""A longer gap parts two stretches of days."""
MIN_SHARE = 0.1
"""Of the longest stretch's days; a stretch with fewer is no history of its own."""


def plausible_days(days: Iterable[date]) -> tuple[list[date], list[date]]:
    """Part days into those of the shop's history and those far from it.

    Returns:
        Both ascending. Days before 1990 or from 2100 on are far from any history; of the others the stretches between gaps
        of more than a year count as history that have a tenth of the longest one's days.

    >>> year = [date(2025, 1, 1) + timedelta(n) for n in range(90)]
    >>> kept, left_out = plausible_days([date(1900, 1, 1), date(2005, 1, 3), *year])
    >>> kept == year, left_out
    (True, [datetime.date(1900, 1, 1), datetime.date(2005, 1, 3)])
    """
    found = sorted(set(days))
    possible = [day for day in found if EARLIEST.date() <= day < LATEST.date()]
    stretches = [possible[:1]]
    for before, day in pairwise(possible):
        if day - before > FAR:
            stretches.append([])
        stretches[-1].append(day)
    longest = max(len(stretch) for stretch in stretches)
    kept = [day for stretch in stretches if len(stretch) >= MIN_SHARE * longest for day in stretch]
    return kept, [day for day in found if day not in set(kept)]
