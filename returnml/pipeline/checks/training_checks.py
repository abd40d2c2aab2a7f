"""Checks of the training set, the gates of a candidate, and the release. Gates warn: a rejected candidate is no failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg
import msgspec

from returnml.modeling.judging.gates.verdict import GATES
from returnml.pipeline.checks import (
    result,
    spec,
)

if TYPE_CHECKING:
    from returnml.modeling.data.snapshot import Snapshot
    from returnml.modeling.export.explainer import ExplainerProof
    from returnml.modeling.fit.variants import Recipe
    from returnml.modeling.judging.gates.verdict import Verdict
    from returnml.modeling.training.leaderboard import Leaderboard
    from returnml.release.folder import Release
    from returnml.warehouse.answers.logged_vectors import LoggedVectors

_MODEL = "model_quality"
HAS_MATURE, ENOUGH_HISTORY, BEATS_LINEAR = "has_mature_rows", "enough_history", "beats_linear_baseline"
AS_ASKED, BOTH_CLASSES = "parameters_as_asked", "both_classes"


def training_set_specs(key: dg.AssetKey, *, is_logged: bool) -> list[dg.AssetCheckSpec]:
    specs = [
        spec(key, HAS_MATURE, "Some label is mature; else there is nothing to train on.", blocking=False, kind=_MODEL),
        spec(key, "hash_holds", "The rows on disk are those that the manifest was made for."),
        spec(key, BOTH_CLASSES, "Some labels are 1 and some 0; else there is nothing to learn.", blocking=False, kind=_MODEL),
        spec(key, "all_mature", "Every label began at least its window before the cut-off."),
    ]
    if is_logged:
        text = (
            "The vectors that mature rows were scored with have the bits that batch computes. It blocks only where they are used."
        )
        specs.append(spec(key, "logged_equals_recomputed", text))
    return specs


def leaderboard_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    enough = "Labels are mature for long enough to split; else nothing is trained."
    asked = "Where training.parameters asks for tuned parameters, the task was tuned; else the declared ones are taken."
    beaten = "The chosen variant has a lower log loss on the calibration part than every baseline."
    return [
        spec(key, ENOUGH_HISTORY, enough, blocking=False, kind=_MODEL),
        spec(key, BEATS_LINEAR, beaten, blocking=False, kind=_MODEL),
        spec(key, AS_ASKED, asked, blocking=False, kind=_MODEL),
    ]


def candidate_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Where they do not, the release is not written and the step fails by itself."""
    text = "Contributions are LightGBM's and sum to the raw score, within the tolerance."
    return [spec(key, "reasons_exact", text, blocking=False, kind=_MODEL)]


def evaluation_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    return [spec(key, name, text, blocking=False, kind=_MODEL) for name, text in GATES.items()]


def release_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    files = "Every file of the folder has the hash of its manifest; else the step fails."
    return [
        spec(key, "files_match_manifest", files, blocking=False, kind=_MODEL),
        spec(key, "gates_hold", "The candidate passed its gates; else it does not decide.", blocking=False, kind=_MODEL),
    ]


def training_set_results(key: dg.AssetKey, snapshot: Snapshot) -> list[dg.AssetCheckResult]:
    from returnml.modeling.data.snapshot_facts import check_snapshot

    shown = {"hash": snapshot.hash, "rows": snapshot.rows, "positives": snapshot.manifest.positives}
    found = {HAS_MATURE: "", **check_snapshot(snapshot)}
    return [
        result(key, name, not problem, {**shown, "message": problem}, warn=name == BOTH_CLASSES)
        for name, problem in found.items()
    ]


def logged_result(key: dg.AssetKey, logged: LoggedVectors, *, is_used: bool) -> dg.AssetCheckResult:
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
    return result(key, "logged_equals_recomputed", logged.is_equal, metadata, warn=not is_used)


def leaderboard_results(key: dg.AssetKey, board: Leaderboard, recipes: Sequence[Recipe]) -> list[dg.AssetCheckResult]:
    losses = {standing.variant: standing.selection_loss for standing in board.standings}
    beaten = all(board.chosen.selection_loss < standing.selection_loss for standing in board.standings if standing.is_baseline)
    origins = {recipe.variant: recipe.origin for recipe in recipes if recipe.rounds}
    is_as_asked = not any(recipe.lacks_study for recipe in recipes)
    return [
        result(key, ENOUGH_HISTORY, True),
        result(key, BEATS_LINEAR, beaten, {"selection_losses": losses}, warn=True),
        result(key, AS_ASKED, is_as_asked, {"parameters_from": origins}, warn=True),
    ]


def candidate_results(key: dg.AssetKey, explained: ExplainerProof) -> list[dg.AssetCheckResult]:
    return [result(key, "reasons_exact", explained.holds, msgspec.structs.asdict(explained))]


def evaluation_results(key: dg.AssetKey, verdict: Verdict) -> list[dg.AssetCheckResult]:
    """One for each gate: they warn, and the verdict on them decides in ``release``."""
    return [
        result(key, gate.name, gate.passed, {"value": gate.value, "limit": gate.limit, "reason": gate.reason}, warn=True)
        for gate in verdict.gates
    ]


def release_results(key: dg.AssetKey, release: Release, verdict: Verdict) -> list[dg.AssetCheckResult]:
    from returnml.release.folder import ReleaseError, load_release

    try:
        load_release(release.path)
        broken = ""
    except ReleaseError as error:
        broken = str(error)
    shown = {"candidate": release.version, "rejected": [gate.name for gate in verdict.failed], "reason": verdict.reason}
    return [
        result(key, "files_match_manifest", not broken, {"files": len(release.manifest.files), "message": broken}),
        result(key, "gates_hold", verdict.passed, shown, warn=True),
    ]
