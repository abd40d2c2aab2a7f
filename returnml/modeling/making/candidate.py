"""From a task's training snapshot to a release folder: train at the origins, judge, refit, export, prove, describe, write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from returnml.files import (
    readable_json,
    sha256,
)
from returnml.modeling.data.drift_reference import (
    REFERENCE_FILE,
    Reference,
    build_reference,
)
from returnml.modeling.data.snapshot import Snapshot
from returnml.modeling.data.snapshot_facts import check_snapshot
from returnml.modeling.export.explainer import (
    ExplainerProof,
    build_explainer,
    prove_explainer,
)
from returnml.modeling.export.onnx_export import export_onnx
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.export.parity import (
    ParityReport,
    compare,
)
from returnml.modeling.fit.boosting import TreeModel
from returnml.modeling.fit.calibration import Calibration
from returnml.modeling.fit.variants import (
    PLAIN,
    Recipe,
)
from returnml.modeling.judging.evaluation import (
    EVALUATION_FILE,
    Evaluation,
    baseline_probabilities,
    evaluate,
)
from returnml.modeling.judging.evidence_gathering import champion_to_beat
from returnml.modeling.judging.gates.evidence import Evidence
from returnml.modeling.judging.gates.judge import judge
from returnml.modeling.judging.gates.suspicious_features import varies
from returnml.modeling.judging.gates.verdict import (
    GATES_FILE,
    Verdict,
)
from returnml.modeling.judging.out_of_time import origin_figures
from returnml.modeling.judging.protected_groups import protected_groups
from returnml.modeling.making.as_served import problems_as_served
from returnml.modeling.making.candidate_description import (
    made_from,
    manifest_of,
)
from returnml.modeling.making.recipes import compare_recipes
from returnml.modeling.reports.evaluation_page import render_report
from returnml.modeling.reports.model_card import (
    CardFacts,
    as_html,
    as_markdown,
)
from returnml.modeling.reports.plots import draw_plots
from returnml.modeling.training.refit import Deployed, deploy
from returnml.modeling.training.trained import (
    Trained,
    train_variant,
)
from returnml.modeling.training.training_data import (
    TrainingData,
    training_data,
)
from returnml.policy.decisions import Decider
from returnml.policy.document import Policy, encode
from returnml.reasons.kernel import EXPLAINER_FILE, Explainer
from returnml.release.folder import Release, write_release
from returnml.release.manifest import MODEL_FILE
from returnml.settings import Settings
from returnml.tasks.declaration import Task
from returnml.tasks.policies import policy_of

CALIBRATION_FILE = "calibration.json"
TREES_FILE = "trees.txt"
REPORT_FILE = "report.html"
POLICY_FILE = "policy.json"
CARD_FILE = "model_card.md"
CARD_PAGE_FILE = "model_card.html"


@dataclass(frozen=True)
class Candidate:
    """A trained, evaluated and judged model that was written as a release folder.

    Attributes:
        model, calibration: of what is released.
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
    """Evaluate what was trained, refit it, export, prove and judge that, and write it as a release folder, whether its gates hold
    or not.

    The same snapshot, recipe, settings, policy, champion and libraries give the same folder.

    Args:
        trained: by a variant that may be released, on ``data``; the rest as for ``train_release``.

    Raises:
        VariantError: if it was trained on another snapshot, or is a baseline.
        ExplainerProofError: if its contributions are not those of the trained model; nothing is written then.
        PolicyError: if the policy cannot be read.
        ReleaseError: if the champion's folder is not what its manifest says.
    """
    settings, policy = settings.of_task(task.name), policy or policy_of(task, settings)
    deployed = deploy(trained, data, settings.training, policy)
    exported = _export(deployed, data)
    held, part, said = data.holdout, data.split.calibration, trained.said(data)
    baselines = baseline_probabilities(data.names, task.rate_features, data.x[part], data.y[part], held.x)
    evaluation = evaluate(
        held.y,
        trained.probability,
        held.customer,
        baselines,
        exported.parity,
        maturity=data.maturity,
        holdout_start_us=data.split.holdout_start_us,
        seed=settings.training.seed,
        calibration=trained.choice,
        origins=[
            origin_figures(fold.origin_us, data.y[fold.train], data.y[fold.test], p)
            for fold, p in zip(data.split.origins, said, strict=True)
        ],
        closeness=deployed.closeness,
    )
    manifest = manifest_of(data, task, settings, trained.recipe, evaluation, policy, deployed)
    unjudged = msgspec.structs.replace(manifest, files={MODEL_FILE: sha256(exported.graph)})
    against = compare_recipes(trained, data, champion_to_beat(releases_root, champion, unjudged), settings.training)
    evidence = Evidence(
        names=data.names,
        importance=trained.model_for(data).importance(),
        varied=np.array([varies(data.x[data.split.train, j]) for j in range(len(data.names))]),
        holdout=held,
        probability=trained.probability,
        from_graph=exported.from_graph,
        from_trees=exported.from_trees,
        closeness=deployed.closeness,
        pooled=(data.y[data.split.tested], np.concatenate(said)),
        baselines=baselines,
        evaluation=evaluation,
        policy=policy,
        data_problems=check_snapshot(data.snapshot),
        serving_problems=problems_as_served(task, exported.explainer),
        calibration_problem=trained.choice.problem,
        rival=against.rival,
        incomparable=against.why_not,
        seed=settings.training.seed,
        words=task.words,
    )
    verdict = judge(evidence, settings.gates)
    plots = draw_plots(
        held.y, trained.probability, baselines.get("rate", baselines["constant"]), data.names, evidence.importance, task.words
    )
    facts = made_from(data, task, settings, trained, deployed)
    constant = [name for name, is_varied in zip(data.names, evidence.varied, strict=True) if not is_varied]
    decided = Decider(policy).decide(trained.probability, held.value_cents, held.facts)
    groups = protected_groups(task.protected, held.facts, held.anchor_us, trained.probability, held.y, decided.action)
    card = CardFacts(task, data.label, facts, evaluation, verdict, policy, data.names, evidence.importance, constant, groups)
    files = {
        MODEL_FILE: exported.graph,
        TREES_FILE: "\n".join(deployed.model.texts).encode(),
        EXPLAINER_FILE: exported.explainer,
        CALIBRATION_FILE: readable_json(deployed.calibration, order="sorted"),
        EVALUATION_FILE: readable_json(evaluation, order="sorted"),
        GATES_FILE: readable_json(verdict, order="sorted"),
        POLICY_FILE: encode(policy),
        REFERENCE_FILE: readable_json(exported.reference, order="sorted"),
        REPORT_FILE: render_report(f"{task.name}: evaluation", facts, evaluation, verdict, plots, task.words),
        CARD_FILE: as_markdown(card, list(plots)),
        CARD_PAGE_FILE: as_html(card, plots),
        **{f"plots/{name}.png": png for name, png in plots.items()},
    }
    rejected = [gate.name for gate in verdict.failed]
    judged = msgspec.structs.replace(manifest, compared_with=verdict.compared_with, rejected=rejected)
    release = write_release(releases_root, judged, files)
    return Candidate(release, evaluation, verdict, deployed.model, deployed.calibration, exported.explained, plots)


@dataclass(frozen=True)
class _Exported:
    """The model as it is released.

    Attributes:
        graph, explainer: contents of their files.
        parity: over every row that any figure of the release rests on, not only the hold-out.
        from_graph, from_trees: probabilities of the hold-out's rows, shape (n,).
        reference: of the youngest rows that the model has not seen.
    """

    graph: bytes
    explainer: bytes
    explained: ExplainerProof
    parity: ParityReport
    from_graph: np.ndarray
    from_trees: np.ndarray
    reference: Reference


def _export(deployed: Deployed, data: TrainingData) -> _Exported:
    model, calibration, held = deployed.model, deployed.calibration, data.holdout.x
    graph, explainer = export_onnx(model, calibration), build_explainer(model)
    scorer = OnnxScorer(graph)
    young = held if deployed.closeness is None else data.young.x
    return _Exported(
        graph,
        explainer,
        explained=prove_explainer(Explainer(explainer), model, held),
        parity=compare(scorer, model, calibration, np.concatenate([data.x[data.split.tested], data.young.x])),
        from_graph=scorer.probability(held),
        from_trees=calibration.probability(model.margin(held)),
        reference=build_reference(young, data.names, scorer.probability(young)),
    )
