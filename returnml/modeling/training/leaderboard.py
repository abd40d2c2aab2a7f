"""The variants side by side on the same mature hold-out, and the one that the release is made from.

It is chosen on the calibration part; the hold-out only reports, so that the released figures are those of a model that
was not picked for them (``docs/decisions/variants.md``).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from returnml.modeling.fit.variants import VariantError
from returnml.modeling.judging.evaluation import (
    REPLICATES,
    Maturity,
)
from returnml.modeling.judging.metrics import (
    ScoredSample,
    bootstrap_figures,
    differences,
    intervals,
)
from returnml.modeling.reports.plots import (
    BASELINE,
    INK,
    MODEL,
    new_figure,
    png,
)
from returnml.modeling.training.trained import Trained
from returnml.modeling.training.training_data import TrainingData
from returnml.pages import markdown_table

SHOWN = ("log_loss", "auc", "average_precision", "calibration_error")


class Figure(msgspec.Struct, frozen=True):
    """One figure of one variant on the hold-out, with 95% customer-bootstrap intervals.

    Attributes:
        difference: from the chosen variant's on the same lines, its interval by the same draws.
    """

    value: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float


class Standing(msgspec.Struct, frozen=True):
    """One variant.

    Attributes:
        selection_loss: log loss on the calibration part: what decided.
    """

    variant: str
    is_chosen: bool
    is_baseline: bool
    selection_loss: float
    figures: dict[str, Figure]


class Leaderboard(msgspec.Struct, frozen=True):
    """All variants of a snapshot, the best on the calibration part first."""

    snapshot: str
    rows: int
    customers: int
    maturity: Maturity
    standings: list[Standing]

    @property
    def chosen(self) -> Standing:
        return next(standing for standing in self.standings if standing.is_chosen)


def choose(trained: Sequence[Trained]) -> Trained:
    """The lowest log loss on the calibration part, of those that may be released; of equals the first.

    One whose calibration does not rise is chosen only if that holds of all: its gates will then say so.

    Raises:
        VariantError: if all are baselines.
    """
    allowed = [one for one in trained if not one.is_baseline]
    if not allowed:
        raise VariantError("no variant was trained that may be released")
    return min(allowed, key=lambda one: (bool(one.choice.problem), one.selection_loss))


def compare_variants(data: TrainingData, trained: Sequence[Trained], seed: int) -> Leaderboard:
    """Measure all on the hold-out, with the same draws of customers.

    Raises:
        VariantError: if one was trained on another snapshot, or none may be released.
    """
    for one in trained:
        if one.snapshot != data.snapshot.hash:
            raise VariantError(f"variant {one.recipe.variant} is of another snapshot ({one.snapshot[:12]})")
    chosen = choose(trained)
    at = [one is chosen for one in trained].index(True)
    held = data.holdout
    samples = [ScoredSample(held.y, one.probability) for one in trained]
    values = [sample.figures() for sample in samples]
    drawn = list(bootstrap_figures(samples, held.customer, replicates=REPLICATES, seed=seed))
    standings = []
    for i, one in enumerate(trained):
        spread = intervals([row[i] for row in drawn])
        beside = intervals([differences(row[i], row[at]) for row in drawn])
        distance = differences(values[i], values[at])
        standings.append(
            Standing(
                variant=one.recipe.variant,
                is_chosen=one is chosen,
                is_baseline=one.is_baseline,
                selection_loss=one.selection_loss,
                figures={n: Figure(value, *spread[n], distance[n], *beside[n]) for n, value in values[i].items()},
            )
        )
    return Leaderboard(
        snapshot=data.snapshot.hash,
        rows=len(held.y),
        customers=len(np.unique(held.customer)),
        maturity=data.maturity,
        standings=sorted(standings, key=lambda standing: standing.selection_loss),
    )


def as_markdown(board: Leaderboard) -> str:
    """A table: the figures with intervals, and the differences from the chosen variant's."""
    rows = []
    for one in board.standings:
        said = f"**{one.variant}**" if one.is_chosen else f"{one.variant} (baseline)" if one.is_baseline else one.variant
        rows.append([said, f"{one.selection_loss:.5f}", *(_cell(one.figures[name], one.is_chosen) for name in SHOWN)])
    return markdown_table(["variant", "log loss, calibration part", *(name.replace("_", " ") for name in SHOWN)], rows)


def _cell(figure: Figure, is_chosen: bool) -> str:
    own = f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})"
    beside = f"{figure.difference:+.4f} ({figure.difference_low:+.4f} to {figure.difference_high:+.4f})"
    return own if is_chosen else f"{own}; {beside}"


def draw_leaderboard(board: Leaderboard) -> bytes:
    """PNG: each variant's log loss and AUC with intervals, and their differences from the chosen variant's."""
    figure, axes = new_figure(2, 2, (10, 1.6 + 0.7 * len(board.standings)))
    rows = np.arange(len(board.standings))[::-1]
    labels = [f"{one.variant}{' (chosen)' * one.is_chosen}{' (baseline)' * one.is_baseline}" for one in board.standings]
    colors = [MODEL if one.is_chosen else BASELINE if one.is_baseline else INK for one in board.standings]
    for across, (name, said) in enumerate((("log_loss", "log loss (less is better)"), ("auc", "AUC (more is better)"))):
        found = [one.figures[name] for one in board.standings]
        parts = (
            (axes[0, across], [(f.value, f.low, f.high) for f in found], said),
            (axes[1, across], [(f.difference, f.difference_low, f.difference_high) for f in found], "difference from the chosen"),
        )
        for axis, values, title in parts:
            for row, (value, low, high), color in zip(rows, values, colors, strict=True):
                axis.errorbar(
                    value, row, xerr=[[max(value - low, 0)], [max(high - value, 0)]], fmt="o", ms=5, color=color, lw=1.5
                )
            axis.locator_params(axis="x", nbins=5)
            axis.set(title=title, yticks=rows, yticklabels=labels, ylim=(-0.6, len(rows) - 0.4))
        axes[1, across].axvline(0, color=INK, lw=0.8, ls="--")
    return png(figure)
