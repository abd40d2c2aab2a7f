"""Checks of the training set, the candidate, its evaluation and the release. All of them block what comes after."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import dagster as dg
import msgspec

from returnml.checks import result, spec
from returnml.settings import LabelSettings

if TYPE_CHECKING:
    from returnml.modeling.evaluation import Evaluation
    from returnml.modeling.explainer import ExplainerProof
    from returnml.modeling.snapshot import Snapshot
    from returnml.release.folder import Release
    from returnml.warehouse.logged_vectors import LoggedVectors

_MODEL = "model_quality"
CALIBRATION_BINS = 15
MAX_CALIBRATION_ERROR = 0.05
"""Expected calibration error, beyond what chance alone shows, above which probabilities would misstate costs."""

TRAINING_SET_SPECS = [
    spec("training_set", "hash_holds", "The rows on disk are those that the manifest was made for."),
    spec("training_set", "both_classes", "Some lines came back and some did not."),
    spec("training_set", "all_mature", "Every line was ordered at least one label window and grace before the cut-off."),
    spec(
        "training_set",
        "logged_equals_recomputed",
        "The vectors that mature lines were scored with have the bits that batch computes. It blocks only where they are used.",
    ),
]
CANDIDATE_SPECS = [
    spec("candidate_model", "onnx_equals_lightgbm", "No evaluation row differs by more than the tolerance.", kind=_MODEL),
    spec("candidate_model", "one_row_equals_batch", "A row alone and in a batch give the same bits.", kind=_MODEL),
    spec(
        "candidate_model",
        "reasons_exact",
        "Contributions are LightGBM's and sum to the raw score, within the tolerance.",
        kind=_MODEL,
    ),
]
EVALUATION_SPECS = [
    spec("evaluation", "beats_baselines", "AUC and log loss are better than those of every baseline.", kind=_MODEL),
    spec("evaluation", "calibrated", f"The calibration error is at most {MAX_CALIBRATION_ERROR} beyond chance.", kind=_MODEL),
]
RELEASE_SPECS = [spec("release", "files_match_manifest", "Every file of the folder has the hash of its manifest.", kind=_MODEL)]


def training_set_results(snapshot: Snapshot, label: LabelSettings) -> list[dg.AssetCheckResult]:
    from returnml.features.windows import DAY_US
    from returnml.modeling.snapshot import SnapshotError, verify_snapshot

    manifest = snapshot.manifest
    try:
        verify_snapshot(snapshot)
        broken = ""
    except SnapshotError as error:
        broken = str(error)
    # a line that only has a flag matures at the end of its window
    latest_us = manifest.cut_off_us - label.window_days * DAY_US
    return [
        result("training_set", "hash_holds", not broken, {"hash": snapshot.hash, "message": broken}),
        result("training_set", "both_classes", 0 < manifest.returned < manifest.rows, {"returned": manifest.returned}),
        result("training_set", "all_mature", manifest.last_ordered_at_us <= latest_us, {"rows": manifest.rows}),
    ]


def logged_result(logged: LoggedVectors, *, is_used: bool) -> dg.AssetCheckResult:
    agreement = logged.agreement
    examples = {f.name: f.first.moment for f in agreement.features if f.first is not None}
    metadata = {
        "linked": logged.linked,
        "compared": agreement.rows,
        "identical": agreement.identical_rows,
        "differing": agreement.differing[:50],
        "examples": dict(list(examples.items())[:50]),
        "changed": logged.changed,
        "moved": logged.moved,
        "foreign": logged.foreign,
    }
    return result("training_set", "logged_equals_recomputed", logged.is_equal, metadata, warn=not is_used)


def candidate_results(measured: Evaluation, explained: ExplainerProof) -> list[dg.AssetCheckResult]:
    parity = measured.parity
    compared = {
        "rows": parity.rows,
        "rows_over_tolerance": parity.rows_over_tolerance,
        "largest_difference": parity.max_abs_difference,
        "tolerance": parity.tolerance,
    }
    alone = {"rows": parity.single_rows, "different": parity.single_rows_different}
    return [
        result("candidate_model", "onnx_equals_lightgbm", parity.rows > 0 and parity.rows_over_tolerance == 0, compared),
        result("candidate_model", "one_row_equals_batch", parity.single_rows_different == 0, alone),
        result("candidate_model", "reasons_exact", explained.holds, msgspec.structs.asdict(explained)),
    ]


def evaluation_results(measured: Evaluation) -> list[dg.AssetCheckResult]:
    figures = measured.figures
    auc = max(baseline["auc"] for baseline in measured.baselines.values())
    limit = MAX_CALIBRATION_ERROR + chance_calibration_error(measured.returned / measured.rows, measured.rows)
    log_loss = min(baseline["log_loss"] for baseline in measured.baselines.values())
    return [
        result(
            "evaluation",
            "beats_baselines",
            figures["auc"] > auc and figures["log_loss"] < log_loss,
            {"auc": figures["auc"], "best_auc": auc, "log_loss": figures["log_loss"], "best_log_loss": log_loss},
        ),
        result(
            "evaluation",
            "calibrated",
            figures["calibration_error"] <= limit,
            {"calibration_error": figures["calibration_error"], "limit": limit},
        ),
    ]


def chance_calibration_error(base_rate: float, rows: int, bins: int = CALIBRATION_BINS) -> float:
    """The calibration error that a perfectly calibrated model shows on so few rows: the mean absolute value of a normal
    deviation in bins of equal size.

    >>> round(chance_calibration_error(0.3, 1_260, 15), 3), round(chance_calibration_error(0.3, 1_000_000, 15), 4)
    (0.04, 0.0014)
    """
    return math.sqrt(2 / math.pi * base_rate * (1 - base_rate) * bins / rows)


def release_results(release: Release) -> list[dg.AssetCheckResult]:
    from returnml.release.folder import ReleaseError, load_release

    try:
        load_release(release.path)
        broken = ""
    except ReleaseError as error:
        broken = str(error)
    return [result("release", "files_match_manifest", not broken, {"files": len(release.manifest.files), "message": broken})]
