"""Plots of an evaluation as PNG bytes: for asset metadata, the release's report and MLflow.

The bytes carry no time stamp, so that they may be part of a release.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from returnml.modeling.data.spread import evenly_spread
from returnml.tasks.declaration import Words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 1_000
TOP_FEATURES = 20
INK, MODEL, BASELINE = "#333333", "#0b6e99", "#c44536"


def draw_plots(
    y: np.ndarray, probability: np.ndarray, baseline: np.ndarray, names: Sequence[str], importance: np.ndarray, words: Words
) -> dict[str, bytes]:
    """Draw all plots.

    Args:
        y, probability, baseline: hold-out labels, the model's and the simple rate's probabilities, shape (n,).
        names, importance: inputs and their share of gain.
        words: how the task's rows are spoken of.

    Returns:
        PNG by name: ``calibration``, ``curves`` (ROC and precision-recall), ``lift`` and ``importance``.
    """
    return {
        "calibration": _calibration(y, probability, words),
        "curves": _curves(y, probability, baseline),
        "lift": _lift(y, probability, baseline, words),
        "importance": _importance(names, importance),
    }


def _calibration(y: np.ndarray, p: np.ndarray, words: Words) -> bytes:
    figure, (top, bottom) = new_figure(2, 1, (5.5, 5.5), height_ratios=[3, 1])
    parts = np.array_split(np.argsort(p, kind="stable"), min(15, len(p)))
    mean = np.array([p[i].mean() for i in parts])
    rate = np.array([y[i].mean() for i in parts])
    error = np.array([1.96 * np.sqrt(max(y[i].mean() * (1 - y[i].mean()), 1e-9) / len(i)) for i in parts])
    largest = float(max(mean.max(), (rate + error).max())) * 1.05
    top.plot([0, largest], [0, largest], color=INK, lw=0.8, ls="--", label="perfect")
    top.errorbar(mean, rate, error, fmt="o", ms=4, color=MODEL, lw=1, label="equal-mass bins, 95%")
    top.set(title="Calibration on the hold-out", ylabel=f"share that {words.positive}", xlim=(0, largest), ylim=(0, largest))
    top.legend(frameon=False)
    bottom.hist(p, bins=np.linspace(0, largest, 50), color=MODEL)
    bottom.set(xlabel="predicted probability", ylabel=words.rows, xlim=(0, largest), yscale="log")
    return png(figure)


def _curves(y: np.ndarray, p: np.ndarray, baseline: np.ndarray) -> bytes:
    figure, (roc, pr) = new_figure(1, 2, (9, 4.2))
    for score, color, label in ((p, MODEL, "model"), (baseline, BASELINE, "simple rate")):
        tp, fp = _cumulative(y, score)
        i = evenly_spread(len(tp), MAX_POINTS)
        # From the origin: where all scores are equal there is one point alone.
        roc.plot(np.append(0, fp[i]) / fp[-1], np.append(0, tp[i]) / tp[-1], color=color, lw=1.5, label=label)
        j = i[tp[i] > 0]
        pr.plot(tp[j] / tp[-1], tp[j] / (tp[j] + fp[j]), color=color, lw=1.5, label=label)
    roc.plot([0, 1], [0, 1], color=INK, lw=0.8, ls="--")
    pr.axhline(y.mean(), color=INK, lw=0.8, ls="--")
    roc.set(title="ROC", xlabel="false-positive rate", ylabel="true-positive rate")
    pr.set(title="Precision and recall", xlabel="recall", ylabel="precision", yscale="log")
    pr.yaxis.set_major_formatter("{x:g}")
    pr.yaxis.set_minor_formatter("{x:g}")
    roc.legend(frameon=False, loc="lower right")
    return png(figure)


def _lift(y: np.ndarray, p: np.ndarray, baseline: np.ndarray, words: Words) -> bytes:
    figure, (gain, lift) = new_figure(1, 2, (9, 4.2))
    for score, color, label in ((p, MODEL, "model"), (baseline, BASELINE, "simple rate")):
        tp, fp = _cumulative(y, score)
        share, caught = (tp + fp) / len(y), tp / tp[-1]
        i = evenly_spread(len(tp), MAX_POINTS)
        gain.plot(100 * np.append(0, share[i]), 100 * np.append(0, caught[i]), color=color, lw=1.5, label=label)
        k = i[share[i] >= 0.002]
        lift.plot(100 * share[k], caught[k] / share[k], color=color, lw=1.5, label=label)
    gain.plot([0, 100], [0, 100], color=INK, lw=0.8, ls="--")
    lift.axhline(1, color=INK, lw=0.8, ls="--")
    gain.set(title="Gain", xlabel=f"% of {words.rows}, riskiest first", ylabel=f"% caught of those that {words.positive}")
    lift.set(title="Lift", xlabel=f"% of {words.rows}, riskiest first", ylabel="times the base rate", xscale="log")
    gain.legend(frameon=False, loc="lower right")
    return png(figure)


def _importance(names: Sequence[str], importance: np.ndarray) -> bytes:
    top = np.argsort(-importance, kind="stable")[:TOP_FEATURES][::-1]
    figure, axes = new_figure(1, 1, (7, 0.28 * len(top) + 1))
    axes.barh([names[i] for i in top], 100 * importance[top], color=MODEL)
    axes.set(title="What the trees split on", xlabel="% of total gain")
    axes.tick_params(axis="y", labelsize=8)
    return png(figure)


def _cumulative(y: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True and false positives at each distinct score, riskiest first."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(y) - 1)
    tp = np.cumsum(y[order])[ends].astype(np.float64)
    return tp, ends + 1 - tp


def new_figure(rows: int, columns: int, size: tuple[float, float], **grid: list[int]) -> tuple[Figure, Any]:
    """A figure of ``size`` inches and its axes, one or an array of them."""
    # The object interface, not pyplot: no global state, no display, safe in any thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, gridspec_kw=grid or None)
    for one in np.ravel(axes):
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def png(figure: Figure) -> bytes:
    """The figure's bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()
