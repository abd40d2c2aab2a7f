"""A release as an MLflow pyfunc model, logged as this file (models from code).

It imports nothing of this project, so that whoever loads it needs only the requirements logged beside it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import mlflow.models
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class ReleaseModel(PythonModel):
    """Takes the named feature columns in any order and gives one probability per row."""

    def load_context(self, context: Any) -> None:
        import onnxruntime as ort

        release = Path(context.artifacts["release"])
        manifest, model = _verified(release)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._inputs = manifest["inputs"]
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    # MLflow reads hints here: of a frame it infers no schema, and so takes the one that was given.
    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score a pandas frame.

        Returns:
            A frame with the float32 column ``probability`` and the index of the input.

        Raises:
            ValueError: naming the first absent feature; missing is not zero.
        """
        absent = [name for name in self._inputs if name not in model_input.columns]
        if absent:
            raise ValueError(f"no column {absent[0]!r} ({len(absent)} of {len(self._inputs)} features are absent)")
        matrix = np.ascontiguousarray(model_input[self._inputs].to_numpy(np.float32))
        probability = self._session.run(None, {self._session.get_inputs()[0].name: matrix})[0]
        return pd.DataFrame({"probability": probability}, index=model_input.index)


def _verified(release: Path) -> tuple[dict[str, Any], bytes]:
    """Manifest and model of this copy of a release, if they are those that it is named after.

    Raises:
        ValueError: naming the file that is not what was released.
    """
    manifest, model = (release / "manifest.json").read_bytes(), (release / "model.onnx").read_bytes()
    if not release.name.endswith(f"-{hashlib.sha256(manifest).hexdigest()[:12]}"):
        raise ValueError(f"{release}: manifest.json is not the one that the release is named after: this copy was changed")
    content = json.loads(manifest)
    if content["files"].get("model.onnx") != hashlib.sha256(model).hexdigest():
        raise ValueError(f"{release}: the bytes of model.onnx do not match the manifest: this copy was changed")
    return content, model


mlflow.models.set_model(ReleaseModel())
