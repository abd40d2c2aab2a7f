"""A release in MLflow: a nested run with its parameters and figures, and a registered model with aliases.

MLflow is a projection: what decides is the release folder and the deployment state. The registered model is the
release's own ONNX graph, so that ``mlflow.pyfunc.load_model("models:/return_risk@champion")`` gives what is served.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from returnml.modeling.onnx_scoring import OnnxScorer
from returnml.release.folder import Release

LIBRARIES = ("onnx", "onnxruntime", "numpy")
RELEASE_TAG = "release"


def register_release(mlflow: Any, release: Release, *, is_champion: bool) -> str:
    """Log the release below the active run and register its model, unless that was done before; then set the aliases.

    Args:
        mlflow: the module, or dagster-mlflow's resource, with the parent run active.
        is_champion: whether it decides; then the alias ``champion`` moves to it. ``candidate`` always does.

    Returns:
        The model's URI, ``models:/<task>/<version>``.
    """
    name = release.manifest.task
    client = mlflow.MlflowClient()
    version = _registered_version(client, name, release.version) or _register(mlflow, client, name, release)
    for alias in ("candidate", *(("champion",) if is_champion else ())):
        client.set_registered_model_alias(name, alias, version)
    return f"models:/{name}/{version}"


def _registered_version(client: Any, name: str, release_version: str) -> str | None:
    found = client.search_model_versions(f"name = '{name}' and tags.`{RELEASE_TAG}` = '{release_version}'")
    return found[0].version if found else None


def _register(mlflow: Any, client: Any, name: str, release: Release) -> str:
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    manifest = release.manifest
    example = np.zeros((2, len(manifest.inputs)), np.float32)
    signature = ModelSignature(
        inputs=Schema([ColSpec("float", column) for column in manifest.inputs]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1,), "probability")]),
    )
    with mlflow.start_run(run_name=release.version, nested=True):
        mlflow.log_params(_flat(manifest.parameters) | {"seed": manifest.seed, "cut_off_us": manifest.cut_off_us})
        mlflow.log_metrics(manifest.metrics)
        mlflow.set_tags(
            {
                RELEASE_TAG: release.version,
                "feature_set_hash": manifest.feature_set_hash,
                "training_snapshot": manifest.training_snapshot,
            }
        )
        logged = mlflow.onnx.log_model(
            onnx.load_from_string(release.model),
            name="model",
            signature=signature,
            input_example=_example_frame(manifest.inputs, example),
            pip_requirements=[f"{library}=={_version(library)}" for library in LIBRARIES],
            onnx_execution_providers=["CPUExecutionProvider"],
        )
        mlflow.log_artifacts(str(release.path), "release")
    registered = mlflow.register_model(logged.model_uri, name, tags={RELEASE_TAG: release.version})
    return str(registered.version)


def _example_frame(columns: list[str], values: np.ndarray) -> Any:
    import pandas

    return pandas.DataFrame(values, columns=columns)


def _version(library: str) -> str:
    from importlib.metadata import version

    return version(library)


def _flat(parameters: dict[str, Any]) -> dict[str, str]:
    """MLflow's parameters are short texts: nested ones as JSON.

    >>> _flat({"rounds": 10, "costs": {"freight_cents": 450}})
    {'rounds': '10', 'costs': '{"freight_cents": 450}'}
    """
    return {name: json.dumps(value) if isinstance(value, dict | list) else str(value) for name, value in parameters.items()}


def pyfunc_equals_release(mlflow: Any, uri: str, release: Release, x: np.ndarray) -> bool:
    """Whether the registered model, loaded the MLflow way, gives the release's probabilities, bit for bit.

    Args:
        x: float32, shape (n, inputs).
    """
    predicted = mlflow.pyfunc.load_model(uri).predict(_example_frame(release.manifest.inputs, x))
    probability = np.asarray(next(iter(predicted.values())) if isinstance(predicted, dict) else predicted, np.float32).ravel()
    return probability.tobytes() == OnnxScorer(release.model).probability(x).tobytes()
