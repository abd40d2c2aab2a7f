"""A study as one picture: how the trials went, and where in the search space the good ones lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from returnml.modeling.reports.plots import (
    BASELINE,
    INK,
    MODEL,
    new_figure,
    png,
)
from returnml.modeling.training.tuning_study import TrialResult

_SPREAD = 0.9
"""Of the completed trials, the share whose losses the colours tell apart; the worst would wash out the rest."""


def draw_study(results: Sequence[TrialResult]) -> bytes:
    """PNG: the loss of each trial in order with the best so far, and the trials' parameters as parallel coordinates.

    Args:
        results: finished trials, at least one of them complete.
    """
    figure, (history, space) = new_figure(2, 1, (9, 7.5))
    complete = [r for r in results if not r.is_pruned]
    pruned = [r for r in results if r.is_pruned]
    best = min(complete, key=lambda r: r.value)
    history.plot([r.number for r in complete], [r.value for r in complete], "o", ms=4, color=MODEL, label="complete")
    history.plot([r.number for r in pruned], [r.value for r in pruned], "x", ms=4, color=INK, label="given up early")
    so_far = np.minimum.accumulate([r.value for r in complete])
    history.step([r.number for r in complete], so_far, where="post", color=BASELINE, lw=1.2, label="best so far")
    history.set(title="Trials", xlabel="trial (0: as declared)", ylabel="mean log loss over the folds")
    history.legend(frameon=False)
    names = list(best.parameters)
    scaled = _scaled(results, names)
    losses = np.array([r.value for r in complete])
    worst = float(np.quantile(losses, _SPREAD))
    places = np.arange(len(names))
    for result, row in zip(results, scaled, strict=True):
        if result is best or result.is_pruned:
            continue
        good = 1 - min(1.0, (result.value - best.value) / max(worst - best.value, 1e-12))
        space.plot(places, row, color=MODEL, lw=0.8, alpha=0.1 + 0.7 * good)
    space.plot(places, scaled[results.index(best)], color=BASELINE, lw=2, label=f"the best: trial {best.number}")
    labels = [f"{name}\n{_range([r.parameters[name] for r in results])}" for name in names]
    space.set(title="Parameters: the darker, the better", yticks=[], xticks=places)
    space.set_xticklabels(labels, fontsize=8)
    space.legend(frameon=False, loc="upper right")
    return png(figure)


def _scaled(results: Sequence[TrialResult], names: Sequence[str]) -> np.ndarray:
    """Each parameter's logarithm between 0 and 1, shape (trials, parameters)."""
    values = np.log([[float(r.parameters[name]) for name in names] for r in results])
    low, high = values.min(axis=0), values.max(axis=0)
    return (values - low) / np.where(high > low, high - low, 1.0)


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.3g} to {max(values):.3g}"
