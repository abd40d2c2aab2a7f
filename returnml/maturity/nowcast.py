"""Nowcast: the final return rate of cohorts that may still return, with intervals.

Cohorts are the lines of one day of ordering (the whole shop), and those of one week and product group; weeks are counted
back from the cut-off, so that a week's age is the same whenever one looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from returnml.maturity.delays import RunOff
from returnml.maturity.intervals import (
    WHOLE_SHOP,
    Cells,
    intervals,
    join,
)
from returnml.maturity.projection import (
    Projection,
    project,
)

WEEK = 7
_AGE_EDGES = np.array([1, 3, 6, 11, 21])
_WEEK_BANDS = len(_AGE_EDGES) + 1
_CONTINUITY = 0.25
"""Added to a variance: counts are whole numbers, so that no forecast is exact."""


@dataclass(frozen=True)
class Nowcast:
    """One cohort.

    Attributes:
        group: product group; None for the whole shop.
        first, last: indexes of its days of ordering (inclusive).
        lines, returned: so far.
        rate: expected final return rate; ``low``, ``high``: its interval, None while too few past errors are known.
    """

    group: str | None
    first: int
    last: int
    lines: int
    returned: int
    rate: float
    low: float | None
    high: float | None


def nowcast(table: RunOff, cells: Cells, cut_off: int) -> list[Nowcast]:
    """The nowcast of one cut-off.

    Args:
        table: label events by cohort and delay.
        cells: ``nowcast_cells`` of the cut-off and of those before it, from which the width is learnt.
    """
    now, bounds = rate_intervals(cells, cut_off)
    # Counts are expected as if there were no end to them; of a line that is back nothing more comes.
    rate = np.minimum((now.base + now.mean) / now.exposure, 1.0)
    return [
        Nowcast(
            group=None if now.group[i] == WHOLE_SHOP else table.groups[int(now.group[i])],
            first=int(now.first[i]),
            last=int(now.last[i]),
            lines=int(now.exposure[i]),
            returned=int(now.base[i]),
            rate=float(rate[i]),
            low=None if np.isnan(bounds[i, 0]) else float(bounds[i, 0]),
            high=None if np.isnan(bounds[i, 1]) else float(bounds[i, 1]),
        )
        for i in range(len(now))
    ]


def rate_intervals(cells: Cells, cut_off: int) -> tuple[Cells, np.ndarray]:
    """The cells of a cut-off and the bounds of their final rates, shape (n, 2), between what is back already and 1."""
    now, bounds = intervals(cells, cut_off)
    return now, np.minimum((now.base[:, None] + bounds) / now.exposure[:, None], 1.0)


def nowcast_cells(table: RunOff, cut_offs: Iterable[int]) -> Cells:
    """Forecasts of all young cohorts as of each cut-off, and their truth where the table has it.

    Raises:
        MaturityError: if a cut-off has too little history.
    """
    return join([_cells(table, project(table, cut_off)) for cut_off in cut_offs])


def _cells(table: RunOff, now: Projection) -> Cells:
    n = len(now.cohorts)
    age = now.cut_off - 1 - now.cohorts
    is_young = age < table.last_delay
    parts = [
        _cell(table, now, np.array([i]), None, int(np.searchsorted(_AGE_EDGES, age[i], side="right")))
        for i in np.flatnonzero(is_young)
    ]
    for week in range((table.last_delay + WEEK - 1) // WEEK):
        days = np.arange(n - WEEK * (week + 1), n - WEEK * week)
        days = days[days >= 0]
        parts += [_cell(table, now, days, group, _WEEK_BANDS + week) for group in range(len(table.groups))]
    found = np.array(parts)
    return Cells(*found[found[:, 5] > 0].T)


def _cell(table: RunOff, now: Projection, days: np.ndarray, group: int | None, band: int) -> tuple[float, ...]:
    """The fields of ``Cells``, in its order."""
    rows = np.arange(len(table.groups)) if group is None else np.array([group])
    pick = np.ix_(rows, days)
    first, last = int(now.cohorts[days[0]]), int(now.cohorts[days[-1]])
    exposure, base, mean = (float(x[pick].sum()) for x in (now.exposure, now.returned, now.remaining))
    variance = now.variance[pick].sum() + now.estimate_sd[pick].sum() ** 2
    known = last + table.last_delay + 1
    truth = np.nan
    if known <= table.cohorts:
        lines, returned = (x[rows, first : last + 1].sum() for x in (table.exposure, table.events))
        truth = returned / lines * exposure - base if lines > 0 else np.nan
    index = WHOLE_SHOP if group is None else group
    return (now.cut_off, band, index, first, last, exposure, base, mean, np.sqrt(variance + _CONTINUITY), known, truth)
