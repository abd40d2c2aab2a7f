"""MLflow: the runs of variants and candidates. For people and tools: nothing that decides or serves reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from returnml.modeling.data.snapshot import Snapshot
from returnml.modeling.making.candidate import Candidate
from returnml.modeling.mlflow.model_registry import (
    find_version,
    provenance,
    register,
)
from returnml.modeling.mlflow.tracking_store import (
    nested_run,
    turn,
)
from returnml.modeling.training.trained import Trained

if TYPE_CHECKING:
    from mlflow.data.dataset import Dataset


@dataclass(frozen=True)
class Logged:
    """Where a candidate is in MLflow. ``model_version`` is that of the registered model named after the task."""

    run_id: str
    model_name: str
    model_version: str


def log_candidate(candidate: Candidate, snapshot: Snapshot, mlflow_root: Path, parent_run_id: str | None = None) -> Logged:
    """Log a candidate as a run (nested below a parent, where one is given) and register its release.

    A release that is registered already gets a run, but no second version.

    Args:
        candidate: trained, proven and written.
        snapshot: what it was trained on; its first rows are the input example.
        mlflow_root: folder of the store.
        parent_run_id: e.g. the run that dagster-mlflow opened.
    """
    import mlflow

    release, manifest = candidate.release, candidate.release.manifest
    with turn(mlflow_root) as uri, nested_run(uri, release.version, parent_run_id) as run_id:
        client = mlflow.MlflowClient(uri, uri)
        mlflow.set_tags(provenance(release))
        mlflow.log_params({**manifest.parameters, **manifest.label, "cut_off_us": manifest.cut_off_us})
        mlflow.log_metrics(_metrics(candidate))
        mlflow.log_artifacts(str(release.path), "release")
        x = snapshot.matrix()
        mlflow.log_input(_dataset(snapshot, x), context="training")
        number = find_version(client, manifest.task, release.version) or register(client, release, x, run_id)
    return Logged(run_id, manifest.task, number)


def log_variant(
    trained: Trained, task: str, figures: Mapping[str, float], mlflow_root: Path, parent_run_id: str | None = None
) -> str:
    """Log a variant as a run (nested below a parent, where one is given); returns its id.

    Args:
        figures: on the hold-out.
    """
    import mlflow

    recipe = trained.recipe
    with turn(mlflow_root) as uri, nested_run(uri, f"{task} {recipe.variant}", parent_run_id) as run_id:
        mlflow.set_tags({"task": task, "variant": recipe.variant, "training_snapshot": trained.snapshot})
        mlflow.log_params(recipe.described())
        mlflow.log_metrics({**figures, "selection_loss": trained.selection_loss})
    return run_id


def _dataset(snapshot: Snapshot, x: np.ndarray) -> Dataset:
    """The snapshot by its hash; where the data root lies is nobody's business."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.numpy_dataset import from_numpy

    manifest = snapshot.manifest
    about = {"training_snapshot": snapshot.hash, "feature_set_hash": manifest.feature_set_hash, "cut_off_us": manifest.cut_off_us}
    y = snapshot.table()["label"].to_numpy()
    name = f"training/{snapshot.path.name}"
    return from_numpy(x, CodeDatasetSource(about), targets=y, name=name, digest=snapshot.hash[:32])


def _metrics(candidate: Candidate) -> dict[str, float]:
    evaluation = candidate.evaluation
    metrics = dict(evaluation.figures)
    for name, (low, high) in evaluation.intervals.items():
        metrics |= {f"{name}_low": low, f"{name}_high": high}
    for baseline, figures in evaluation.baselines.items():
        metrics |= {f"{baseline}_{name}": value for name, value in figures.items()}
    metrics["maturity_days"] = evaluation.maturity.days
    metrics["mature_share"] = evaluation.maturity.mature_share
    metrics["parity_max_abs_difference"] = evaluation.parity.max_abs_difference
    return {name: value for name, value in metrics.items() if np.isfinite(value)}
