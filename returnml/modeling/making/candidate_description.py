"""What a candidate is, as the manifest of its release and as the facts of its report and card."""

from __future__ import annotations

from importlib.metadata import version

import msgspec

from returnml.modeling.fit.variants import Recipe
from returnml.modeling.judging.evaluation import Evaluation
from returnml.modeling.training.trained import Trained
from returnml.modeling.training.training_data import TrainingData
from returnml.policy.document import Policy
from returnml.release.manifest import Manifest
from returnml.settings import Settings
from returnml.tasks.declaration import Task

LIBRARIES = ("lightgbm", "matplotlib", "numpy", "onnx", "onnxmltools", "onnxruntime", "polars")


def manifest_of(
    data: TrainingData, task: Task, settings: Settings, recipe: Recipe, evaluation: Evaluation, policy: Policy
) -> Manifest:
    """The manifest before the verdict: without ``compared_with``, ``rejected`` and ``files``.

    Args:
        settings: with the task's own in their place.
    """
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


def made_from(data: TrainingData, task: Task, settings: Settings, trained: Trained) -> dict[str, str]:
    """Facts of data and training by name, for people; arguments as of ``manifest_of``."""
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
