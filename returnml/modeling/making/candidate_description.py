"""What a candidate is, as the manifest of its release and as the facts of its report and card."""

from __future__ import annotations

from importlib.metadata import version

import msgspec

from returnml.instants import day_of
from returnml.modeling.fit.variants import Recipe
from returnml.modeling.judging.closeness import Closeness
from returnml.modeling.judging.evaluation import Evaluation
from returnml.modeling.training.refit import Deployed
from returnml.modeling.training.trained import Trained
from returnml.modeling.training.training_data import TrainingData
from returnml.policy.document import Policy
from returnml.release.manifest import Manifest, TrainedOn
from returnml.settings import Settings
from returnml.tasks.attribute_tasks import reasons_of_use
from returnml.tasks.declaration import Task, Words

LIBRARIES = ("lightgbm", "matplotlib", "numpy", "onnx", "onnxmltools", "onnxruntime", "polars")


def manifest_of(
    data: TrainingData,
    task: Task,
    settings: Settings,
    recipe: Recipe,
    evaluation: Evaluation,
    policy: Policy,
    deployed: Deployed,
) -> Manifest:
    """The manifest before the verdict: without ``compared_with``, ``rejected`` and ``files``.

    Args:
        settings: with the task's own in their place.
    """
    training, feature_set, label = settings.training, task.feature_set, data.label
    parts = {
        "calibration_days": training.calibration_days,
        "folds": training.folds,
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
        trained_on=TrainedOn(rows=deployed.rows, until_us=deployed.until_us, refit=_refit(deployed.closeness)),
    )


def _refit(closeness: Closeness | None) -> dict[str, float]:
    if closeness is None:
        return {}
    figures = ("loss_share", "mean_gap_share", "moved_share")
    return {"young_rows": float(closeness.rows), **{name: round(getattr(closeness, name), 10) for name in figures}}


def made_from(data: TrainingData, task: Task, settings: Settings, trained: Trained, deployed: Deployed) -> dict[str, str]:
    """Facts of data and training by name, for people; arguments as of ``manifest_of``."""
    snapshot, split, calibration, recipe = data.snapshot, data.split, deployed.calibration, trained.recipe
    given, excluded = recipe.lightgbm, len(recipe.excluded)
    blind = f", {excluded} inputs not asked" if excluded else ""
    weighed = "" if recipe.weight_half_life_days is None else f", half-life {recipe.weight_half_life_days:g} days"
    training, words = settings.training, task.words
    sampling = snapshot.manifest.sampling
    return {
        "Training snapshot": snapshot.hash[:32],
        f"Mature {words.rows}": f"{snapshot.rows:,}, of which {snapshot.base_rate:.2%} {words.positive}",
        "Judged model": f"trained on {len(split.train):,}, judged on the hold-out's {len(split.holdout):,}; "
        f"{len(split.folds)} folds before it with {len(split.calibration):,} out-of-time scores",
        "Gap before the hold-out": f"{split.purged_days} days ({split.fold_gap_days} before each fold); its young {words.rows}: "
        f"{training.young_lines}",
        "Released model": _released(deployed, words),
        **({} if sampling is None else {"Days": str(sampling)}),
        **reasons_of_use(task),
        "Features": f"{len(snapshot.manifest.features)} ({snapshot.manifest.feature_set_hash[:12]})",
        "Variant": f"{recipe.variant}{blind}{weighed}",
        "Parameters": recipe.origin,
        "Trees": f"{recipe.rounds} of {given['num_leaves']} leaves, rate {given['learning_rate']:g}, seed {given['seed']}",
        "Calibration": f"{calibration.method}: slope {calibration.rise:.4f}, intercept {calibration.intercept:.4f}",
    }


def _released(deployed: Deployed, words: Words) -> str:
    youngest = f"{deployed.rows:,} {words.rows}, the youngest {words.anchored} on {day_of(deployed.until_us)}"
    found = deployed.closeness
    if found is None:
        return f"the judged one ({youngest}): too few younger {words.rows} to prove a refit by"
    return (
        f"the same recipe refitted on all {youngest}; on {found.rows:,} younger {words.rows} it says {found.mean_refit:.2%} on "
        f"average, the judged one {found.mean_judged:.2%}; the policy does otherwise with {found.moved_share:.2%}"
    )
