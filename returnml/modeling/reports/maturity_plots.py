"""Plots of what is still to come, as PNG bytes without a time stamp."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from returnml.modeling.reports.plots import (
    BASELINE,
    INK,
    MODEL,
    new_figure,
    png,
)

SHOWN_GROUPS = 8


def draw_forecast(
    days: Sequence[date],
    total: np.ndarray,
    bounds: np.ndarray,
    new_orders: np.ndarray,
    by_group: dict[str, np.ndarray],
    title: str,
) -> bytes:
    """Returned lines per coming day: the whole shop with its interval, and the product groups stacked.

    Args:
        days: n of them.
        total, new_orders: of the whole shop, shape (n,).
        bounds: of ``total``, shape (n, 2); NaN where unknown.
        by_group: expected lines, shape (n,) each; the largest ``SHOWN_GROUPS`` are told apart.
    """
    figure, (top, bottom) = new_figure(2, 1, (9, 7))
    x = np.array(days, "datetime64[D]")
    known = np.isfinite(bounds[:, 0])
    top.fill_between(x, bounds[:, 0], bounds[:, 1], where=known, color=MODEL, alpha=0.2, lw=0, label="90% interval")
    top.plot(x, total, color=MODEL, lw=1.8, label="from lines already ordered")
    top.plot(x, total + new_orders, color=BASELINE, lw=1, ls="--", label="with orders as in the last four weeks (assumption)")
    top.set(title=title, ylabel="lines coming back", ylim=(0, None))
    top.legend(frameon=False, fontsize=8)
    for axes in (top, bottom):
        _short_dates(axes)
    names = sorted(by_group, key=lambda name: -by_group[name].sum())
    stacks = {name: by_group[name] for name in names[:SHOWN_GROUPS]}
    if len(names) > SHOWN_GROUPS:
        stacks["all others"] = np.sum([by_group[name] for name in names[SHOWN_GROUPS:]], axis=0)
    bottom.stackplot(x, list(stacks.values()), labels=list(stacks), alpha=0.85)
    bottom.set(ylabel="lines by product group", ylim=(0, None))
    bottom.legend(frameon=False, fontsize=8, ncols=3)
    return png(figure)


def draw_rates(days: Sequence[date], rate: np.ndarray, bounds: np.ndarray, so_far: np.ndarray, title: str) -> bytes:
    """Final return rate by day of ordering, shape (n,): so far, expected, and its interval, shape (n, 2)."""
    figure, axes = new_figure(1, 1, (9, 4))
    x = np.array(days, "datetime64[D]")
    known = np.isfinite(bounds[:, 0])
    axes.fill_between(x, 100 * bounds[:, 0], 100 * bounds[:, 1], where=known, color=MODEL, alpha=0.2, lw=0, label="90% interval")
    axes.plot(x, 100 * rate, color=MODEL, lw=1.8, label="expected in the end")
    axes.plot(x, 100 * so_far, color=INK, lw=1, ls="--", label="back so far")
    axes.set(title=title, xlabel="day of ordering", ylabel="% of lines coming back", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    _short_dates(axes)
    return png(figure)


def _short_dates(axes: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
