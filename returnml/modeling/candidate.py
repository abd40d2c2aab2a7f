"""From a task's training snapshot to a release folder: split, train, calibrate, export, prove, evaluate, describe, write."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np

from returnml.modeling.boosting import TreeModel
from returnml.modeling.calibration import Calibration
from returnml.modeling.evaluation import EVALUATION_FILE, Evaluation, baseline_probabilities, evaluate, maturity_of
from returnml.modeling.explainer import ExplainerProof, build_explainer, prove_explainer
from returnml.modeling.gates.evidence import Evidence
from returnml.modeling.gates.features import varies
from returnml.modeling.gates.judge import judge
from returnml.modeling.gates.verdict import Verdict
from returnml.modeling.judging import champion_to_beat, rival_of
from returnml.modeling.model_card import CardFacts, as_html, as_markdown
from returnml.modeling.onnx_export import export_onnx
from returnml.modeling.onnx_scoring import OnnxScorer
from returnml.modeling.parity import compare
from returnml.modeling.plots import draw_plots
from returnml.modeling.reference import REFERENCE_FILE, build_reference
from returnml.modeling.report import render_report
from returnml.modeling.snapshot import Snapshot
from returnml.modeling.trained import Trained, train_variant
from returnml.modeling.training_checks import check_snapshot
from returnml.modeling.training_data import TrainingData, training_data
from returnml.modeling.variants import PLAIN, Recipe
from returnml.policy.document import Policy, encode
from returnml.reasons.kernel import EXPLAINER_FILE, Explainer
from returnml.release.files import sha256
from returnml.release.folder import Release, write_release
from returnml.release.manifest import MODEL_FILE, Manifest
from returnml.settings import Settings
from returnml.tasks.declaration import Task
from returnml.tasks.policies import policy_of

CALIBRATION_FILE = "calibration.json"
TREES_FILE = "trees.txt"
REPORT_FILE = "report.html"
GATES_FILE = "gates.json"
POLICY_FILE = "policy.json"
CARD_FILE = "model_card.md"
CARD_PAGE_FILE = "model_card.html"
LIBRARIES = ("lightgbm", "matplotlib", "numpy", "onnx", "onnxmltools", "onnxruntime", "polars")


@dataclass(frozen=True)
class Candidate:
    """A trained, evaluated and judged model that was written as a release folder.

    Attributes:
        plots: PNG bytes by name, also in the folder under ``plots/``.
    """

    release: Release
    evaluation: Evaluation
    verdict: Verdict
    model: TreeModel
    calibration: Calibration
    explained: ExplainerProof
    plots: dict[str, bytes]

    @property
    def report(self) -> Path:
        return self.release.path / REPORT_FILE


def train_release(
    snapshot: Snapshot,
    task: Task,
    settings: Settings,
    releases_root: Path,
    champion: str | None = None,
    policy: Policy | None = None,
    recipe: Recipe | None = None,
) -> Candidate:
    """Train on a snapshot, judge and write the candidate, whether its gates hold or not.

    Args:
        snapshot: the task's mature rows.
        task: the question that the snapshot was made for.
        settings: ``training``, ``gates`` and the policy are used, of the task where it has its own.
        releases_root: the folder of all releases.
        champion: version of the release that decides, to be compared with.
        policy: default: ``policy_of`` task and settings.
        recipe: default: the plain variant, by the settings.

    Raises:
        SnapshotError: if the snapshot is of another task or feature set.
        SplitError: if the history is too short for the configured split.
    """
    training = settings.of_task(task.name).training
    data = training_data(snapshot, task, training)
    trained = train_variant(data, recipe or PLAIN.recipe(training, data.names), training)
    return build_release(trained, data, task, settings, releases_root, champion, policy)


def build_release(
    trained: Trained,
    data: TrainingData,
    task: Task,
    settings: Settings,
    releases_root: Path,
    champion: str | None = None,
    policy: Policy | None = None,
) -> Candidate:
    """Export, prove, evaluate and judge what was trained, and write it as a release folder, whether its gates hold or not.

    The same snapshot, recipe, settings, policy, champion and libraries give the same folder.

    Args:
        trained: by a variant that may be released, on ``data``; the rest as for ``train_release``.

    Raises:
        VariantError: if it was trained on another snapshot, or is a baseline.
        ExplainerProofError: if its contributions are not those of the trained model; nothing is written then.
        PolicyError: if the policy cannot be read.
        ReleaseError: if the champion's folder is not what its manifest says.
    """
    settings, snapshot, split, x, y = settings.of_task(task.name), data.snapshot, data.split, data.x, data.y
    model, calibration = trained.model_for(data), trained.calibration
    manifest, names, holdout = snapshot.manifest, data.names, data.holdout
    graph = export_onnx(model, calibration)
    scorer = OnnxScorer(graph)
    x_holdout, y_holdout = holdout.x, holdout.y
    # Every row that any figure of the release rests on, not only the hold-out.
    parity = compare(scorer, model, calibration, np.concatenate([x[split.calibration], x_holdout]))
    explainer = build_explainer(model)
    explained = prove_explainer(Explainer(explainer), model, x_holdout)
    probability = scorer.probability(x_holdout)
    baselines = baseline_probabilities(names, task.rate_features, x[split.calibration], y[split.calibration], x_holdout)
    evaluation = evaluate(
        y_holdout,
        probability,
        holdout.customer,
        baselines,
        parity,
        maturity=maturity_of(holdout.anchor_us, manifest.cut_off_us, manifest.label),
        holdout_start_us=split.holdout_start_us,
        seed=settings.training.seed,
    )
    plots = draw_plots(
        y_holdout, probability, baselines.get("rate", baselines["constant"]), names, model.importance(), task.words
    )
    policy = policy or policy_of(task, settings)
    described = _manifest(data, task, settings, trained.recipe, evaluation, policy)
    unjudged = msgspec.structs.replace(described, files={MODEL_FILE: sha256(graph)})
    rival, incomparable = rival_of(champion_to_beat(releases_root, champion, unjudged), task.feature_set.hash, x_holdout)
    varied = np.array([varies(x[split.train, j]) for j in range(len(names))])
    evidence = Evidence(
        names=names,
        importance=model.importance(),
        varied=varied,
        holdout=holdout,
        from_graph=probability,
        from_trees=calibration.probability(model.margin(x_holdout)),
        baselines=baselines,
        evaluation=evaluation,
        policy=policy,
        data_problems=check_snapshot(snapshot),
        calibration_problem=trained.problem,
        rival=rival,
        incomparable=incomparable,
        seed=settings.training.seed,
        words=task.words,
    )
    verdict = judge(evidence, settings.gates)
    facts = _facts(data, task, settings, trained)
    constant = [name for name, is_varied in zip(names, varied, strict=True) if not is_varied]
    card = CardFacts(task, manifest.label, facts, evaluation, verdict, policy, names, model.importance(), constant)
    files = {
        MODEL_FILE: graph,
        TREES_FILE: "\n".join(model.texts).encode(),
        EXPLAINER_FILE: explainer,
        CALIBRATION_FILE: _json(calibration),
        EVALUATION_FILE: _json(evaluation),
        GATES_FILE: _json(verdict),
        POLICY_FILE: encode(policy),
        REFERENCE_FILE: _json(build_reference(x_holdout, names, probability)),
        REPORT_FILE: render_report(f"{task.name}: evaluation", facts, evaluation, verdict, plots, task.words),
        CARD_FILE: as_markdown(card, list(plots)),
        CARD_PAGE_FILE: as_html(card, plots),
        **{f"plots/{name}.png": png for name, png in plots.items()},
    }
    described = msgspec.structs.replace(
        described, compared_with=verdict.compared_with, rejected=[gate.name for gate in verdict.failed]
    )
    release = write_release(releases_root, described, files)
    return Candidate(release, evaluation, verdict, model, calibration, explained, plots)


def _manifest(
    data: TrainingData, task: Task, settings: Settings, recipe: Recipe, evaluation: Evaluation, policy: Policy
) -> Manifest:
    training, feature_set, label = settings.training, task.feature_set, data.label
    parts = {
        "calibration_days": training.calibration_days,
        "purged_days": data.split.purged_days,
        "holdout_days": training.holdout_days,
        "young_lines": training.young_lines,
    }
    return Manifest(
        task=task.name,
        feature_set=feature_set.name,
        feature_set_version=feature_set.version,
        feature_set_hash=feature_set.hash,
        inputs=list(feature_set.outputs),
        cut_off_us=data.snapshot.manifest.cut_off_us,
        training_snapshot=data.snapshot.hash,
        seed=training.seed,
        parameters={**recipe.described(), **parts},
        metrics={
            **{name: round(value, 10) for name, value in evaluation.figures.items()},
            "maturity_days": float(evaluation.maturity.days),
            "mature_share": evaluation.maturity.mature_share,
        },
        label={"window_days": label.window_days, "grace_days": label.grace_days},
        policy_hash=policy.hash,
        gates={name: value for name, value in msgspec.structs.asdict(settings.gates).items() if name != "require_approval"},
        libraries={name: version(name) for name in LIBRARIES},
    )


def _facts(data: TrainingData, task: Task, settings: Settings, trained: Trained) -> dict[str, str]:
    snapshot, split, calibration, recipe = data.snapshot, data.split, trained.calibration, trained.recipe
    given, excluded = recipe.lightgbm, len(recipe.excluded)
    blind = f", {excluded} inputs not asked" if excluded else ""
    training, words = settings.training, task.words
    sampling = snapshot.manifest.sampling
    return {
        "Training snapshot": snapshot.hash[:32],
        f"Mature {words.rows}": f"{snapshot.rows:,}, of which {snapshot.base_rate:.2%} {words.positive}",
        "Train / calibration / hold-out": " / ".join(
            f"{len(part):,}" for part in (split.train, split.calibration, split.holdout)
        ),
        "Gap before the hold-out": f"{split.purged_days} days; its young {words.rows}: {training.young_lines}",
        **({} if sampling is None else {"Days": str(sampling)}),
        "Features": f"{len(snapshot.manifest.features)} ({snapshot.manifest.feature_set_hash[:12]})",
        "Variant": f"{recipe.variant}{blind}",
        "Parameters": recipe.origin,
        "Trees": f"{recipe.rounds} of {given['num_leaves']} leaves, rate {given['learning_rate']:g}, seed {given['seed']}",
        "Calibration": f"{calibration.method}: slope {calibration.rise:.4f}, intercept {calibration.intercept:.4f}",
    }


def _json(value: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"
