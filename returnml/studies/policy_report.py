"""The comparison of two policies as one self-contained HTML page, and its plots."""

from __future__ import annotations

from html import escape

import numpy as np

from returnml.modeling.reports.plots import (
    BASELINE,
    INK,
    MODEL,
    new_figure,
    png,
)
from returnml.pages import html_image, page, table
from returnml.policy.document import ACTIONS
from returnml.studies.policy_comparison import (
    Change,
    Comparison,
)

SHOWN = 15


def draw_policy_plots(compared: Comparison) -> dict[str, bytes]:
    """PNG by name: ``actions``, ``transitions`` and ``differences`` (the values of each dimension that differ most)."""
    return {
        "actions": _actions(compared),
        "transitions": _transitions(compared),
        "differences": _differences(compared),
    }


def render_policy_report(compared: Comparison, plots: dict[str, bytes]) -> bytes:
    """UTF-8 HTML without any reference to another file."""
    images = "".join(html_image(name, image) for name, image in plots.items())
    rates = [
        [r.action, f"{r.share_before:.2%}", f"{r.share_after:.2%}", percent(r.returned_before), percent(r.returned_after)]
        for r in compared.actions
    ]
    moved = [
        [
            f"{t.before} to {t.after}",
            f"{t.lines:,}",
            _money(t.cost_before_cents),
            _money(t.cost_after_cents),
            percent(t.returned),
        ]
        for t in compared.transitions
    ]
    tables = "".join(
        f"<h2>By {escape(name.replace('_', ' '))}</h2>{table(_CHANGE_HEAD, [_row(c) for c in changes[:SHOWN]])}"
        for name, changes in compared.dimensions.items()
    )
    title = f"Policy {compared.new_policy} beside {compared.current_policy}"
    about = (
        f"{compared.total.lines:,} lines scored from {compared.first} to {compared.last}; expected costs in {compared.currency}, "
        "both policies' actions by the new policy's costs and effects. By its own the current one expects "
        f"{_money(compared.own_cost_before_cents)}. {compared.decided_otherwise:,} lines were scored under another policy than "
        f"the current one. {compared.in_training:,} lines are left out: they were in the training of the release that scored "
        "them."
    )
    idle = "".join(f"<p><b>Note:</b> {escape(part)}.</p>" for part in compared.idle)
    return page(
        title,
        f"<p>{escape(about)}</p>{idle}"
        f"{table(_CHANGE_HEAD, [_row(compared.total)])}{images}"
        f"<h2>Actions</h2>{table(['', 'current', 'new', 'came back (current)', 'came back (new)'], rates)}"
        "<p>Came back: share of the mature lines that the policy gives the action, as they were treated then.</p>"
        f"<h2>What changes</h2>{table(['', 'lines', 'current', 'new', 'came back'], moved)}{tables}",
    )


_CHANGE_HEAD = ["", "lines", "changed", "current", "new", "difference"]


def _row(change: Change) -> list[str]:
    costs = (change.cost_before_cents, change.cost_after_cents)
    difference = f"{change.difference_cents / 100:+,.2f}"
    return [change.name, f"{change.lines:,}", f"{change.changed:,}", *(_money(cents) for cents in costs), difference]


def _money(cents: int) -> str:
    return f"{cents / 100:,.2f}"


def percent(share: float | None) -> str:
    """For people; a dash where there is none."""
    return "-" if share is None else f"{share:.1%}"


def _actions(compared: Comparison) -> bytes:
    figure, axes = new_figure(1, 1, (6, 3.2))
    at = np.arange(len(ACTIONS))
    for shift, of, color, label in ((-0.2, "share_before", INK, "current"), (0.2, "share_after", MODEL, "new")):
        bars = axes.bar(at + shift, [100 * getattr(r, of) for r in compared.actions], 0.38, color=color, label=label)
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set_xticks(at, ACTIONS)
    axes.set(title="Actions", ylabel="% of the lines")
    axes.legend(frameon=False)
    return png(figure)


def _transitions(compared: Comparison) -> bytes:
    counts = np.zeros((len(ACTIONS), len(ACTIONS)))
    for t in compared.transitions:
        counts[ACTIONS.index(t.before), ACTIONS.index(t.after)] = t.lines
    figure, axes = new_figure(1, 1, (5, 4))
    axes.imshow(np.log1p(counts), cmap="Blues", vmax=max(np.log1p(counts).max() * 1.6, 1))
    for (i, j), count in np.ndenumerate(counts):
        axes.text(j, i, f"{int(count):,}", ha="center", va="center", fontsize=9, color=INK)
    axes.set_xticks(range(len(ACTIONS)), ACTIONS)
    axes.set_yticks(range(len(ACTIONS)), ACTIONS)
    axes.set(title="Lines by action", xlabel="new policy", ylabel="current policy")
    return png(figure)


def _differences(compared: Comparison) -> bytes:
    figure, axes = new_figure(1, len(compared.dimensions), (4.2 * len(compared.dimensions), 4))
    for one, (name, changes) in zip(np.ravel(axes), compared.dimensions.items(), strict=True):
        shown = changes[:SHOWN][::-1]
        values = [c.difference_cents / 100 for c in shown]
        one.barh([c.name for c in shown], values, color=[BASELINE if v > 0 else MODEL for v in values])
        one.axvline(0, color=INK, lw=0.8)
        one.set(title=f"By {name.replace('_', ' ')}", xlabel=f"{compared.currency}, below 0 is cheaper")
        one.tick_params(labelsize=8)
    return png(figure)
