"""MLflow's registered models and their aliases: one model per task, one version per release.

MLflow is for people and tools. What serves is decided by the deployment state alone; aliases only repeat it.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from returnml.modeling.mlflow.revision import source_revision
from returnml.modeling.mlflow.tracking_store import turn
from returnml.release.deployment import DeploymentState
from returnml.release.folder import Release

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXAMPLE_ROWS = 5
REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas")
"""Of whoever loads a version from MLflow; what the release was made with is among its tags."""
RELEASE_TAG = "release"
_PYFUNC_FILE = Path(__file__).with_name("pyfunc_model.py")


def provenance(release: Release) -> dict[str, str]:
    """What a release was made from and with, as tags of its run and of its registered version."""
    manifest = release.manifest
    return {
        RELEASE_TAG: release.version,
        "dataset_hash": manifest.training_snapshot,
        "feature_set": f"{manifest.feature_set} {manifest.feature_set_version}",
        "feature_set_hash": manifest.feature_set_hash,
        "git_revision": source_revision(),
        "python": platform.python_version(),
        "libraries": msgspec.json.encode(manifest.libraries, order="sorted").decode(),
    }


def register(client: MlflowClient, release: Release, x: np.ndarray, run_id: str) -> str:
    """Log a release as a model of the active run and register it as a new version of its task's model, whose number is
    returned.

    Args:
        x: of the snapshot, float32, shape (rows, inputs); its first rows are the input example.
        run_id: of the active run.
    """
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    manifest = release.manifest
    inputs = Schema([ColSpec("float", name) for name in manifest.inputs])
    logged = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(_PYFUNC_FILE),
        artifacts={"release": release.path.as_uri()},
        signature=ModelSignature(inputs, Schema([ColSpec("float", "probability")])),
        input_example=pd.DataFrame(x[:EXAMPLE_ROWS], columns=manifest.inputs),
        pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
    )
    if not client.search_registered_models(f"name = '{manifest.task}'"):
        client.create_registered_model(manifest.task)
    made = client.create_model_version(
        manifest.task, logged.model_uri, run_id=run_id, tags=provenance(release), model_id=logged.model_id
    )
    return str(made.version)


def find_version(client: MlflowClient, task: str, release: str) -> str | None:
    """The number of the version that a release is registered as."""
    found = client.search_model_versions(f"name = '{task}' AND tag.`{RELEASE_TAG}` = '{release}'")
    return str(found[0].version) if found else None


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

    with turn(mlflow_root) as uri:
        return _project(mlflow.MlflowClient(uri, uri), state, task)


def _project(client: MlflowClient, state: DeploymentState, task: str) -> Projection:
    roles = state.roles
    if not client.search_registered_models(f"name = '{task}'"):
        return Projection({}, [role for role, release in roles.items() if release])
    present = {alias: str(number) for alias, number in client.get_registered_model(task).aliases.items()}
    numbers = {role: find_version(client, task, release) if release else None for role, release in roles.items()}
    changed: dict[str, str] = {}
    for role, number in numbers.items():
        if number is None and role in present:
            client.delete_registered_model_alias(task, role)
            changed[role] = ""
        elif number is not None and present.get(role) != number:
            client.set_registered_model_alias(task, role, number)
            changed[role] = number
    return Projection(changed, [role for role, release in roles.items() if release and numbers[role] is None])
