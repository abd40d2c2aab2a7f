"""The evaluation of a candidate on its hold-out, beside a constant and a simple rate baseline."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from returnml.features.windows import DAY_US
from returnml.modeling.export.parity import ParityReport
from returnml.modeling.fit.calibration import (
    CalibrationError,
    fit_calibration,
)
from returnml.modeling.judging.closeness import Closeness
from returnml.modeling.judging.metrics import (
    ScoredSample,
    bootstrap_intervals,
)
from returnml.modeling.judging.out_of_time import Choice, OriginFigures
from returnml.release.folder import Release
from returnml.settings import LabelSettings

EVALUATION_FILE = "evaluation.json"
REPLICATES = 200


class Maturity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At which maturity of the labels a figure was taken; figures of different maturities must not be compared.

    Attributes:
        window_days, grace_days: the label is decided within the window, and known at the end of both.
        mature_share: of the rows, through both; 1.0: no label was still open.
        youngest_days: whole days between the youngest row's anchor and the cut-off of its labels.
        told_by_flags: whether flags alone tell the labels, final at the end of the window: then there is no grace.
    """

    window_days: int
    grace_days: int
    mature_share: float
    youngest_days: int
    told_by_flags: bool = False

    @property
    def days(self) -> int:
        return self.window_days + self.grace_days

    def __str__(self) -> str:
        then = "after which the shop's flags are final" if self.told_by_flags else f"and {self.grace_days} of grace"
        rule = f"{self.window_days} days of label window{',' * self.told_by_flags} {then}"
        return f"{self.mature_share:.0%} mature ({rule}), the youngest {self.youngest_days} days old"


def maturity_of(anchor_us: np.ndarray, cut_off_us: int, label: LabelSettings, told_by_flags: bool = False) -> Maturity:
    """The maturity of rows at the cut-off of their labels, all with a label by then.

    Args:
        anchor_us: int64, shape (n,).
        told_by_flags: whether flags alone tell the labels.

    >>> from returnml.settings import LabelSettings
    >>> maturity_of(np.array([0, 24 * DAY_US]), 40 * DAY_US, LabelSettings()).mature_share
    0.5
    """
    age_us = cut_off_us - anchor_us
    grace_days = 0 if told_by_flags else label.grace_days
    mature_us = (label.window_days + grace_days) * DAY_US
    return Maturity(
        window_days=label.window_days,
        grace_days=grace_days,
        mature_share=float((age_us >= mature_us).mean()),
        youngest_days=int(age_us.min() // DAY_US),
        told_by_flags=told_by_flags,
    )


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Quality on the hold-out.

    Attributes:
        maturity: of all hold-out rows; every figure here was taken at it.
        figures: of the model (see ``ScoredSample.figures``).
        intervals: 95% customer-bootstrap intervals of them.
        baselines: the same figures of ``constant`` (the rate of the folds for all) and ``rate`` (an as-of rate, calibrated by
            them).
        calibration: which was chosen, and the log loss of each on the folds.
        origins: what was said at each origin and what happened, the hold-out last.
        closeness: of the released model, refitted on all mature rows, to the judged one; None: it is that one.
    """

    rows: int
    customers: int
    positives: int
    holdout_start_us: int
    replicates: int
    maturity: Maturity
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    baselines: dict[str, dict[str, float]]
    parity: ParityReport
    calibration: Choice | None = None
    origins: list[OriginFigures] = []
    closeness: Closeness | None = None


def evaluate(
    y: np.ndarray,
    probability: np.ndarray,
    customer: np.ndarray,
    baselines: dict[str, np.ndarray],
    parity: ParityReport,
    *,
    maturity: Maturity,
    holdout_start_us: int,
    seed: int,
    calibration: Choice,
    origins: list[OriginFigures],
    closeness: Closeness | None,
) -> Evaluation:
    """Evaluate hold-out rows, all arrays of shape (n,); ``baselines`` maps a name to its probabilities."""
    sample = ScoredSample(y, probability)
    return Evaluation(
        rows=len(y),
        customers=len(np.unique(customer)),
        positives=int(y.sum()),
        holdout_start_us=holdout_start_us,
        replicates=REPLICATES,
        maturity=maturity,
        figures=sample.figures(),
        intervals=bootstrap_intervals(sample, customer, replicates=REPLICATES, seed=seed),
        baselines={name: ScoredSample(y, p).figures() for name, p in baselines.items()},
        parity=parity,
        calibration=calibration,
        origins=origins,
        closeness=closeness,
    )


def read_evaluation(release: Release) -> Evaluation:
    """What a release says of itself.

    Raises:
        ReleaseError: if it holds none, or another than its manifest names.
    """
    return msgspec.json.decode(release.read(EVALUATION_FILE), type=Evaluation)


def baseline_probabilities(
    names: list[str], rates: Sequence[str], x_calibration: np.ndarray, y_calibration: np.ndarray, x_holdout: np.ndarray
) -> dict[str, np.ndarray]:
    """What one would predict without a model: one rate for all, and an as-of rate.

    Args:
        names: columns of the matrices.
        rates: the first of these among them is the simple rate.
        x_calibration, y_calibration: rows that the baselines may learn from.
        x_holdout: rows to predict.
    """
    base_rate = float(y_calibration.mean())
    out = {"constant": np.full(len(x_holdout), base_rate)}
    column = next((names.index(name) for name in rates if name in names), None)
    if column is None:
        return out
    rate_calibration, rate_holdout = _log_odds(x_calibration[:, column]), _log_odds(x_holdout[:, column])
    if np.ptp(rate_calibration) > 0:
        try:
            out["rate"] = fit_calibration(rate_calibration, y_calibration).probability(rate_holdout)
        except CalibrationError:
            # The rate orders rows no better than chance: then the constant is all it is worth.
            out["rate"] = out["constant"]
    return out


def _log_odds(rate: np.ndarray) -> np.ndarray:
    filled = np.where(np.isfinite(rate), rate, np.nanmean(rate) if np.isfinite(rate).any() else 0.5).astype(np.float64)
    clipped = np.clip(filled, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))
