"""Plots of an evaluation: that a baseline of equal scores is drawn, too."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from returnml.modeling.reports.plots import draw_plots
from returnml_tests.modeling.shop import TASK


def test_a_constant_baseline_is_the_diagonal(monkeypatch: pytest.MonkeyPatch):
    """Of equal scores there is one point, which no line would show."""
    drawn: list[tuple[list[float], list[float]]] = []
    plot = Axes.plot

    def recorded(axes: Axes, x, y, *more, **how):
        if how.get("label") == "simple rate":
            drawn.append((list(x), list(y)))
        return plot(axes, x, y, *more, **how)

    monkeypatch.setattr(Axes, "plot", recorded)
    y, p = np.array([0, 1, 0, 1]), np.array([0.1, 0.6, 0.2, 0.7])
    draw_plots(y, p, np.full(4, 0.5), ["f"], np.ones(1), TASK.words)
    assert ([0.0, 1.0], [0.0, 1.0]) in drawn
    assert ([0.0, 100.0], [0.0, 100.0]) in drawn
