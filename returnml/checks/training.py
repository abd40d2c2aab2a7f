"""Checks of the training set, the gates of a candidate, and the release. Gates warn: a rejected candidate is no failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import msgspec

from returnml.checks import result, spec
from returnml.modeling.gates.verdict import GATES
from returnml.settings import LabelSettings

if TYPE_CHECKING:
    from returnml.modeling.explainer import ExplainerProof
    from returnml.modeling.gates.verdict import Verdict
    from returnml.modeling.snapshot import Snapshot
    from returnml.release.folder import Release
    from returnml.warehouse.logged_vectors import LoggedVectors

_MODEL = "model_quality"
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
    spec(
        "candidate_model",
        "reasons_exact",
        "Contributions are LightGBM's and sum to the raw score, within the tolerance.",
        kind=_MODEL,
    ),
]
EVALUATION_SPECS = [spec("evaluation", name, text, blocking=False, kind=_MODEL) for name, text in GATES.items()]
RELEASE_SPECS = [
    spec("release", "files_match_manifest", "Every file of the folder has the hash of its manifest.", kind=_MODEL),
    spec("release", "gates_hold", "The candidate passed its gates; else it does not decide.", blocking=False, kind=_MODEL),
]


def training_set_results(snapshot: Snapshot, label: LabelSettings) -> list[dg.AssetCheckResult]:
    from returnml.modeling.training_checks import check_snapshot

    shown = {"hash": snapshot.hash, "rows": snapshot.rows, "returned": snapshot.manifest.returned}
    return [
        result("training_set", name, not problem, {**shown, "message": problem})
        for name, problem in check_snapshot(snapshot, label).items()
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


def candidate_results(explained: ExplainerProof) -> list[dg.AssetCheckResult]:
    return [result("candidate_model", "reasons_exact", explained.holds, msgspec.structs.asdict(explained))]


def evaluation_results(verdict: Verdict) -> list[dg.AssetCheckResult]:
    """One for each gate: they warn, and the verdict on them decides in ``release``."""
    return [
        result("evaluation", gate.name, gate.passed, {"value": gate.value, "limit": gate.limit, "reason": gate.reason}, warn=True)
        for gate in verdict.gates
    ]


def release_results(release: Release, verdict: Verdict) -> list[dg.AssetCheckResult]:
    from returnml.release.folder import ReleaseError, load_release

    try:
        load_release(release.path)
        broken = ""
    except ReleaseError as error:
        broken = str(error)
    shown = {"candidate": release.version, "rejected": [gate.name for gate in verdict.failed], "reason": verdict.reason}
    return [
        result("release", "files_match_manifest", not broken, {"files": len(release.manifest.files), "message": broken}),
        result("release", "gates_hold", verdict.passed, shown, warn=True),
    ]
