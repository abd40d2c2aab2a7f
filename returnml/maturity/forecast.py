"""Forecast: what comes back on each of the coming days, by product group, from the lines that are already ordered.

Lines that will be ordered later are no part of it; what they would add, if orders went on as on the same weekdays of the
last four weeks, is a column of its own without an interval.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from returnml.maturity.delays import (
    RunOff,
    weekdays,
)
from returnml.maturity.intervals import (
    WHOLE_SHOP,
    Cells,
    intervals,
    join,
)
from returnml.maturity.projection import (
    Projection,
    first_cohort,
    project,
)

HORIZON_DAYS = 30
ORDER_WEEKS = 4
_HORIZON_EDGES = np.array([3, 7, 14, 21])
_GROUP_BANDS = len(_HORIZON_EDGES) + 1
_CONTINUITY = 0.25
_ORDINARY = 0.95
_PIECES_PRIOR = 20.0
"""A product group's pieces per returned line weigh as much as the shop's once they rest on this many returned lines."""


@dataclass(frozen=True)
class ReturnsForecast:
    """One future day and product group (None: the whole shop).

    Attributes:
        day: index; the first is the cut-off's own day.
        lines, pieces: expected, from lines ordered before the cut-off; ``low``, ``high``: None while too few past
            errors are known.
        new_lines, new_pieces: what lines ordered later would add under the stated assumption.
    """

    group: str | None
    day: int
    lines: float
    lines_low: float | None
    lines_high: float | None
    pieces: float
    pieces_low: float | None
    pieces_high: float | None
    new_lines: float
    new_pieces: float


@dataclass(frozen=True)
class Outlook:
    """All forecasts of some cut-offs: cells of lines and of pieces (same order), and what new orders would add.

    Attributes:
        new_lines, new_pieces: by cut-off, shape (G, HORIZON_DAYS).
    """

    lines: Cells
    pieces: Cells
    new_lines: dict[int, np.ndarray]
    new_pieces: dict[int, np.ndarray]


def outlook(lines: RunOff, pieces: RunOff, cut_offs: Iterable[int], min_delay: int) -> Outlook:
    """Forecasts as of each cut-off, and their truth where the tables have it.

    Args:
        lines: returned lines by cohort and delay. pieces: the same in pieces.
        min_delay: see ``project``.

    Raises:
        MaturityError: if a cut-off has too little history.
    """
    found_lines, found_pieces = [], []
    new_lines, new_pieces = {}, {}
    for cut_off in cut_offs:
        now = project(lines, cut_off, min_delay)
        each = pieces_per_line(lines, pieces, cut_off)
        mean, variance = now.by_day(HORIZON_DAYS)
        new = _from_new_orders(lines, now)
        has_lines = np.append(now.exposure.sum(axis=1) > 0, True).repeat(HORIZON_DAYS)
        found_lines.append(_cells(lines, cut_off, mean, np.sqrt(variance)).where(has_lines))
        of_pieces = _cells(pieces, cut_off, mean * each[:, None], np.sqrt(variance) * each[:, None])
        found_pieces.append(of_pieces.where(has_lines))
        new_lines[cut_off], new_pieces[cut_off] = new, new * each[:, None]
    return Outlook(join(found_lines), join(found_pieces), new_lines, new_pieces)


def forecast(table: RunOff, found: Outlook, cut_off: int) -> list[ReturnsForecast]:
    """The forecast of one cut-off; ``found`` also holds those before it, from which the width is learnt."""
    now, lines_bounds = intervals(found.lines, cut_off)
    pieces, pieces_bounds = intervals(found.pieces, cut_off)
    new_lines, new_pieces = found.new_lines[cut_off], found.new_pieces[cut_off]
    out = []
    for i in range(len(now)):
        ahead = int(now.first[i]) - cut_off
        rows = slice(None) if now.group[i] == WHOLE_SHOP else int(now.group[i])
        lines_range, pieces_range = (_known(bounds[i]) for bounds in (lines_bounds, pieces_bounds))
        out.append(
            ReturnsForecast(
                group=None if now.group[i] == WHOLE_SHOP else table.groups[int(now.group[i])],
                day=int(now.first[i]),
                lines=float(now.mean[i]),
                lines_low=lines_range[0],
                lines_high=lines_range[1],
                pieces=float(pieces.mean[i]),
                pieces_low=pieces_range[0],
                pieces_high=pieces_range[1],
                new_lines=float(new_lines[rows, ahead].sum()),
                new_pieces=float(new_pieces[rows, ahead].sum()),
            )
        )
    return out


def pieces_per_line(lines: RunOff, pieces: RunOff, cut_off: int) -> np.ndarray:
    """Pieces in a returned line, by group, from what the cohorts that a projection reads have returned; shape (G,).

    Cohorts above the ``_ORDINARY`` quantile of the shop's ratios count as if at it: one return of 74,215 pieces, as Online
    Retail has it, would else be expected again for months.
    """
    start = first_cohort(lines, cut_off)
    is_seen = _seen(lines, start, cut_off)
    returned, back = (np.where(is_seen, t.events[:, start:cut_off], 0.0).sum(axis=2) for t in (lines, pieces))
    has_any = returned.sum(axis=0) > 0
    ratio = back.sum(axis=0)[has_any] / returned.sum(axis=0)[has_any]
    limit = np.quantile(ratio, _ORDINARY, method="lower")
    back = back[:, has_any] * np.minimum(1.0, limit / ratio)
    returned, back = returned.sum(axis=1), back.sum(axis=1)
    shop = back.sum() / returned.sum()
    return (back + _PIECES_PRIOR * shop) / (returned + _PIECES_PRIOR)


def _from_new_orders(table: RunOff, now: Projection) -> np.ndarray:
    """Returned lines of orders on and after the cut-off, shape (G, HORIZON_DAYS)."""
    weeks = min(ORDER_WEEKS, now.cut_off // 7)
    start = now.cut_off - 7 * weeks
    lines = np.where(_seen(table, start, now.cut_off), table.exposure[:, start : now.cut_off], 0.0).sum(axis=2)
    recent = lines.reshape(len(table.groups), weeks, 7).mean(axis=1)
    future = now.rate[:, None] * recent[:, np.arange(HORIZON_DAYS) % 7]
    days = weekdays(table.first_day, now.cut_off, now.cut_off + HORIZON_DAYS)
    share = np.diff(now.delays.cumulative(days), axis=2, prepend=0.0)
    out = np.zeros((len(table.groups), HORIZON_DAYS))
    for ordered in range(HORIZON_DAYS):
        reach = min(HORIZON_DAYS - ordered, share.shape[2])
        out[:, ordered : ordered + reach] += future[:, ordered, None] * share[:, ordered, :reach]
    return out


def _cells(table: RunOff, cut_off: int, mean: np.ndarray, sd: np.ndarray) -> Cells:
    """One cell for each day and group, and one for each day and the whole shop, shape (HORIZON_DAYS * (G + 1),)."""
    groups = len(table.groups)
    day = np.tile(cut_off + np.arange(HORIZON_DAYS), groups + 1)
    group = np.repeat([*range(groups), WHOLE_SHOP], HORIZON_DAYS)
    band = np.searchsorted(_HORIZON_EDGES, day - cut_off, side="right") + np.where(group == WHOLE_SHOP, _GROUP_BANDS, 0)
    # Errors of the level and of the delays are shared by the groups, so that standard deviations add up.
    means, sds = np.vstack([mean, mean.sum(axis=0)]), np.vstack([sd, sd.sum(axis=0)])
    truth = _booked(table, cut_off)
    return Cells(
        cut_off=np.full(len(day), cut_off),
        band=band,
        group=group,
        first=day,
        last=day,
        exposure=np.zeros(len(day)),
        base=np.zeros(len(day)),
        mean=means.ravel(),
        sd=np.sqrt(sds.ravel() ** 2 + _CONTINUITY),
        known=day + 1,
        truth=np.vstack([truth, truth.sum(axis=0)]).ravel(),
    )


def _booked(table: RunOff, cut_off: int) -> np.ndarray:
    """What came back on each day from lines ordered before the cut-off, shape (G, HORIZON_DAYS); NaN beyond the table."""
    out = np.full((len(table.groups), HORIZON_DAYS), np.nan)
    for ahead in range(min(HORIZON_DAYS, table.cohorts - cut_off)):
        day = cut_off + ahead
        cohorts = np.arange(max(0, day - table.last_delay), cut_off)
        out[:, ahead] = table.events[:, cohorts, day - cohorts].sum(axis=1)
    return out


def _seen(table: RunOff, start: int, cut_off: int) -> np.ndarray:
    """Which delays of the cohorts from ``start`` on are known at the cut-off, shape (cohorts, delays)."""
    return np.arange(table.last_delay + 1)[None] <= (cut_off - 1 - np.arange(start, cut_off))[:, None]


def _known(bounds: np.ndarray) -> tuple[float | None, float | None]:
    return (None, None) if np.isnan(bounds[0]) else (float(bounds[0]), float(bounds[1]))
