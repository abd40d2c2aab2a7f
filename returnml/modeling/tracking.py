"""MLflow: runs, the registered model and its aliases, in a SQLite store below the data root.

MLflow is for people and tools. What serves is decided by the deployment state alone; aliases only repeat it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from returnml.modeling.candidate import Candidate
from returnml.modeling.snapshot import Snapshot
from returnml.release.deployment import DeploymentState
from returnml.release.files import locked

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "returnml"
EXAMPLE_ROWS = 5
REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas")
RELEASE_TAG = "release"
_PYFUNC_FILE = Path(__file__).with_name("pyfunc_model.py")


@dataclass(frozen=True)
class Logged:
    """Where a candidate is in MLflow. ``model_version`` is that of the registered model named after the task."""

    run_id: str
    model_name: str
    model_version: str


def tracking_uri(mlflow_root: Path) -> str:
    """The store's URI; nothing is created."""
    return f"sqlite:///{mlflow_root / 'mlflow.db'}"


def prepare_store(mlflow_root: Path) -> str:
    """Create the store and the experiment once; safe when several processes start together.

    MLflow migrates an empty database on first contact, and two processes doing so fail each other.

    Returns:
        The tracking URI.
    """
    import mlflow

    uri = tracking_uri(mlflow_root)
    with locked(mlflow_root / ".prepare.lock"):
        client = mlflow.MlflowClient(uri, uri)
        if client.get_experiment_by_name(EXPERIMENT) is None:
            client.create_experiment(EXPERIMENT, artifact_location=(mlflow_root / "artifacts").as_uri())
    return uri


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

    uri = prepare_store(mlflow_root)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    release, manifest = candidate.release, candidate.release.manifest
    client = mlflow.MlflowClient(uri, uri)
    if parent_run_id is None:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None  # prepare_store has made it
        experiment_id = experiment.experiment_id
    else:
        experiment_id = client.get_run(parent_run_id).info.experiment_id
    nested = mlflow.active_run() is not None
    with mlflow.start_run(
        run_name=release.version, experiment_id=experiment_id, nested=nested, parent_run_id=parent_run_id
    ) as run:
        mlflow.set_tags(
            {
                RELEASE_TAG: release.version,
                "feature_set_hash": manifest.feature_set_hash,
                "training_snapshot": manifest.training_snapshot,
            }
        )
        mlflow.log_params({**manifest.parameters, **manifest.label, "cut_off_us": manifest.cut_off_us})
        mlflow.log_metrics(_metrics(candidate))
        mlflow.log_artifacts(str(release.path), "release")
        found = _find_version(client, manifest.task, release.version)
        number = found or _register(candidate, snapshot)
        if not found:
            client.set_model_version_tag(manifest.task, number, RELEASE_TAG, release.version)
    return Logged(run.info.run_id, manifest.task, number)


@dataclass(frozen=True)
class Projection:
    """What was done to repeat the deployment state.

    Attributes:
        changed: aliases that were set, with their model version; empty text: removed.
        unregistered: roles whose release this MLflow does not know; they have no alias.
    """

    changed: dict[str, str]
    unregistered: list[str]


def project_aliases(state: DeploymentState, task: str, mlflow_root: Path) -> Projection:
    """Make the registered model's aliases repeat the deployment state, whatever they were before."""
    import mlflow

    uri = prepare_store(mlflow_root)
    client = mlflow.MlflowClient(uri, uri)
    roles = state.roles
    if not client.search_registered_models(f"name = '{task}'"):
        return Projection({}, [role for role, release in roles.items() if release])
    present = {alias: str(number) for alias, number in client.get_registered_model(task).aliases.items()}
    numbers = {role: _find_version(client, task, release) if release else None for role, release in roles.items()}
    changed: dict[str, str] = {}
    for role, number in numbers.items():
        if number is None and role in present:
            client.delete_registered_model_alias(task, role)
            changed[role] = ""
        elif number is not None and present.get(role) != number:
            client.set_registered_model_alias(task, role, number)
            changed[role] = number
    return Projection(changed, [role for role, release in roles.items() if release and numbers[role] is None])


def _register(candidate: Candidate, snapshot: Snapshot) -> str:
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    manifest = candidate.release.manifest
    example = pd.DataFrame(snapshot.matrix()[:EXAMPLE_ROWS], columns=manifest.inputs)
    logged = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(_PYFUNC_FILE),
        artifacts={"release": str(candidate.release.path)},
        signature=ModelSignature(
            Schema([ColSpec("float", name) for name in manifest.inputs]), Schema([ColSpec("float", "probability")])
        ),
        input_example=example,
        pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        registered_model_name=manifest.task,
    )
    return str(logged.registered_model_version)


def _find_version(client: MlflowClient, task: str, release: str) -> str | None:
    found = client.search_model_versions(f"name = '{task}' AND tag.`{RELEASE_TAG}` = '{release}'")
    return str(found[0].version) if found else None


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
