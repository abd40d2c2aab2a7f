"""The proof that the exported graph is the trained model, over every evaluation row. A failed proof blocks a release."""

from __future__ import annotations

import msgspec
import numpy as np

from returnml.errors import Refusal
from returnml.modeling.data.spread import evenly_spread
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.fit.boosting import TreeModel
from returnml.modeling.fit.calibration import Calibration

TOLERANCE = 1e-6
"""In probability, before a calibration makes it steeper: graph and trees round their sums of float32 differently."""
SINGLE_ROWS = 200


class ParityReport(msgspec.Struct, frozen=True, kw_only=True):
    """Differences between graph and LightGBM in probability, and between one-row and batch calls of the graph.

    Attributes:
        rows: compared with LightGBM: all rows given.
        rows_over_tolerance: must be 0.
        single_rows: also sent one by one, evenly spread.
        single_rows_different: must be 0: the same bits whether alone or in a batch.
    """

    rows: int
    max_abs_difference: float
    tolerance: float
    rows_over_tolerance: int
    single_rows: int
    single_rows_different: int

    @property
    def holds(self) -> bool:
        return self.rows > 0 and self.rows_over_tolerance == 0 and self.single_rows_different == 0


class ParityError(Refusal):
    """The exported graph does not give what the trained model gives."""


def tolerance_of(calibration: Calibration) -> float:
    """What rounding before the calibration may come to behind it: it is as many times larger as the calibration is steep.

    >>> tolerance_of(Calibration(method="platt", rise=4.0, fall=2.0, intercept=0.0))
    4e-06
    """
    return TOLERANCE * max(1.0, calibration.rise, calibration.fall)


def compare(scorer: OnnxScorer, model: TreeModel, calibration: Calibration, x: np.ndarray) -> ParityReport:
    """Measure, without a verdict.

    Args:
        x: float32, shape (n, inputs).
    """
    from_graph = scorer.probability(x)
    from_trees = calibration.probability(model.margin(x))
    difference = np.abs(from_graph.astype(np.float64) - from_trees)
    # A NaN on either side is a difference too: count what is not within tolerance.
    tolerance = tolerance_of(calibration)
    over = int(np.count_nonzero(~(difference <= tolerance)))
    alone = evenly_spread(len(x), SINGLE_ROWS)
    different = sum(scorer.probability(x[i : i + 1]).tobytes() != from_graph[i : i + 1].tobytes() for i in alone)
    return ParityReport(
        rows=len(x),
        max_abs_difference=float(difference.max()),
        tolerance=tolerance,
        rows_over_tolerance=over,
        single_rows=len(alone),
        single_rows_different=different,
    )


def prove_parity(scorer: OnnxScorer, model: TreeModel, calibration: Calibration, x: np.ndarray) -> ParityReport:
    """Measure and insist.

    Raises:
        ParityError: with the figures, if the proof fails.
    """
    report = compare(scorer, model, calibration, x)
    if not report.holds:
        raise ParityError(
            f"ONNX export: {report.rows_over_tolerance} of {report.rows} rows differ from LightGBM by more than "
            f"{report.tolerance:g} (largest {report.max_abs_difference:.3g}); {report.single_rows_different} of "
            f"{report.single_rows} rows differ between one-row and batch calls"
        )
    return report
