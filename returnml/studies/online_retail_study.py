"""Our model beside a published reference model, on the reference's own test lines.

The study repeats the reference's label rule and split; nothing here looks at a test line before the one comparison at
the end. What was tried, and how the settings below were chosen, is in ``docs/results/online_retail.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from returnml.errors import Refusal
from returnml.features.windows import DAY_US
from returnml.instants import instant_us
from returnml.modeling.data.splits import (
    Fold,
    rolling_origin,
)
from returnml.modeling.export.onnx_export import export_onnx
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.export.parity import (
    ParityReport,
    prove_parity,
)
from returnml.modeling.fit.boosting import (
    TreeModel,
    parameters,
    train,
)
from returnml.modeling.fit.calibration import (
    Calibration,
    fit_calibration,
    sigmoid,
)
from returnml.modeling.judging.metrics import (
    ScoredSample,
    paired_difference,
)
from returnml.settings import TrainingSettings


def _us(day: str) -> int:
    return instant_us(datetime.fromisoformat(day))


TRAIN_END_US, TEST_START_US, TEST_END_US = _us("2011-08-01"), _us("2011-09-01"), _us("2011-11-09")
FOLD_ORIGINS = ("2011-04-01", "2011-05-01", "2011-06-01")
FOLD_TEST_US = 61 * DAY_US
FOLD_GAP_US = 31 * DAY_US
"""As in the final split: a month of lines between training and test is left out, as their labels were still open."""

SETTINGS = TrainingSettings(
    rounds=300,
    learning_rate=0.02,
    num_leaves=31,
    min_data_in_leaf=150,
    feature_fraction=0.3,
    bagging_fraction=0.7,
    lambda_l2=50.0,
    threads=1,
)
SEEDS = (1, 2, 3, 4, 5)

_KEY = ("order_id", "article_id", "quantity", "ordered_at", "customer_id")


class StudyError(Refusal):
    """Our lines and the reference's are not the same; the message says how."""


@dataclass(frozen=True)
class FoldResult:
    """Figures on one rolling origin; all of its lines were ordered, and their labels known, before September."""

    origin: str
    train_rows: int
    test_rows: int
    figures: dict[str, float]


@dataclass(frozen=True)
class Study:
    """The outcome.

    Attributes:
        ours, reference: figures on the test lines.
        differences: ours minus the reference's: (value, low, high), 95% by paired customer bootstrap.
        inputs: features the model was given (those that vary in training).
    """

    rows: int
    returned: int
    customers: int
    train_rows: int
    inputs: int
    replicates: int
    folds: list[FoldResult]
    ours: dict[str, float]
    reference: dict[str, float]
    differences: dict[str, tuple[float, float, float]]
    parity: ParityReport


def match_reference(lines: pl.DataFrame, reference: pl.DataFrame) -> np.ndarray:
    """Find each reference test line among ours, one to one.

    Equal lines (of one invoice, article, quantity, minute and customer) are matched in file order.

    Args:
        lines: ``line_id``, ``order_id``, ``article_id``, ``quantity``, ``ordered_at``, ``customer_id``, ``returned``.
        reference: as the reference script writes them: ``InvoiceNo``, ``StockCode``, ``Quantity``, ``InvoiceDate``,
            ``customer``, ``y``, ``reference``.

    Returns:
        int64, shape (len(reference),): positions in ``lines``.

    Raises:
        StudyError: if the numbers of test lines differ, a line has no partner, or a label differs.
    """
    within = pl.int_range(pl.len()).over(_KEY).alias("copy")
    own = (
        lines.with_row_index("position")
        .filter(pl.col("ordered_at").to_physical().is_between(TEST_START_US, TEST_END_US, closed="left"))
        .sort("line_id")
        .select("position", "returned", *_KEY)
        .with_columns(within)
    )
    other = reference.select(
        pl.col("InvoiceNo").alias("order_id"),
        pl.col("StockCode").alias("article_id"),
        pl.col("Quantity").cast(pl.Int64).alias("quantity"),
        pl.col("InvoiceDate").str.to_datetime(time_unit="us").alias("ordered_at"),
        pl.col("customer").cast(pl.String).alias("customer_id"),
        "y",
    ).with_columns(within)
    if own.height != other.height:
        raise StudyError(f"{own.height} test lines here, {other.height} in the reference")
    matched = other.join(
        own.with_columns(pl.col("quantity").cast(pl.Int64)), on=[*_KEY, "copy"], how="left", maintain_order="left"
    )
    lost = matched.filter(pl.col("position").is_null())
    if lost.height:
        raise StudyError(f"{lost.height} reference lines are not among ours, first: {lost.row(0, named=True)}")
    differing = matched.filter(pl.col("y") != pl.col("returned"))
    if differing.height:
        raise StudyError(f"{differing.height} labels differ from the reference's, first: {differing.row(0, named=True)}")
    return matched["position"].to_numpy().astype(np.int64)


def run_study(lines: pl.DataFrame, x: np.ndarray, names: list[str], reference: pl.DataFrame, *, replicates: int) -> Study:
    """Train before August, prove the export, open the test lines once and compare.

    Args:
        lines: every line, see ``match_reference``.
        x: float32, shape (lines, names).
        reference: the reference's test lines with its predictions.

    Raises:
        StudyError: see ``match_reference``.
        ParityError: if the exported graph differs from the trees on a test line.
    """
    test = match_reference(lines, reference)
    ordered, y = lines["ordered_at"].to_physical().to_numpy(), lines["returned"].to_numpy()
    known = ordered < TRAIN_END_US
    varies = [j for j in range(len(names)) if np.unique(x[known, j][np.isfinite(x[known, j])]).size > 1]
    x, names = x[:, varies], [names[j] for j in varies]
    folds, calibration = _folds(x[known], y[known], ordered[known], names)
    model = _fit(x[known], y[known], names)
    scorer = OnnxScorer(export_onnx(model, calibration))
    parity = prove_parity(scorer, model, calibration, x[test])
    ours = ScoredSample(y[test], scorer.probability(x[test]))
    theirs = ScoredSample(y[test], reference["reference"].to_numpy())
    customer = lines["customer_id"].to_numpy()[test]
    return Study(
        rows=len(test),
        returned=int(y[test].sum()),
        customers=len(np.unique(customer)),
        train_rows=int(known.sum()),
        inputs=len(names),
        replicates=replicates,
        folds=folds,
        ours=ours.figures(),
        reference=theirs.figures(),
        differences=paired_difference(ours, theirs, customer, replicates=replicates, seed=1),
        parity=parity,
    )


def study_folds(ordered_at_us: np.ndarray) -> list[Fold]:
    """The rolling origins that everything was chosen on, of lines ordered before August."""
    return rolling_origin(ordered_at_us, [_us(day) for day in FOLD_ORIGINS], test_us=FOLD_TEST_US, gap_us=FOLD_GAP_US)


def _folds(x: np.ndarray, y: np.ndarray, ordered: np.ndarray, names: list[str]) -> tuple[list[FoldResult], Calibration]:
    """Rolling origins before September, and the calibration fitted on their out-of-time margins."""
    results: list[FoldResult] = []
    margins, labels = [], []
    for fold in study_folds(ordered):
        margin = _fit(x[fold.train], y[fold.train], names).margin(x[fold.test])
        margins.append(margin)
        labels.append(y[fold.test])
        origin = FOLD_ORIGINS[len(results)]
        figures = ScoredSample(y[fold.test], sigmoid(margin)).figures()
        results.append(FoldResult(origin, len(fold.train), len(fold.test), figures))
    return results, fit_calibration(np.concatenate(margins), np.concatenate(labels))


def _fit(x: np.ndarray, y: np.ndarray, names: list[str]) -> TreeModel:
    return train(x, y, names, parameters(SETTINGS), SETTINGS.rounds, SEEDS)
