"""The released model: its ONNX graph, verified to take exactly the declared features."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort

from returnml.errors import Refusal
from returnml.features.feature_set import FeatureSet
from returnml.reasons.kernel import EXPLAINER_FILE, Explainer, ExplainerError
from returnml.reasons.ordering import Reasoner
from returnml.release.folder import Release


class ModelError(Refusal):
    """A release whose model cannot score the declared features; the message names the release and the rule."""


class Model:
    """A release's graph in an ONNX Runtime session of one thread, and its explainer.

    Attributes:
        reasoner: None if the release holds no explainer, or no families are declared for its features.

    Raises:
        ModelError: if the release is of other features than the declared ones, or its graph has another shape.
    """

    def __init__(self, release: Release, feature_set: FeatureSet) -> None:
        manifest = release.manifest
        if manifest.feature_set_hash != feature_set.hash:
            raise ModelError(
                f"release {release.version}: made with feature-set hash {manifest.feature_set_hash[:12]}, "
                f"this code declares {feature_set.name} {feature_set.hash[:12]}"
            )
        if tuple(manifest.inputs) != feature_set.outputs:
            raise ModelError(f"release {release.version}: its inputs are not the outputs of {feature_set.name}, in order")
        self.version = release.version
        self.feature_set_hash = manifest.feature_set_hash
        self._session = _session(release)
        [graph_input], outputs = self._session.get_inputs(), self._session.get_outputs()
        width = len(feature_set.outputs)
        if graph_input.type != "tensor(float)" or graph_input.shape[1:] != [width]:
            raise ModelError(
                f"release {release.version}: the graph takes {graph_input.type} {graph_input.shape}, not float32 (rows, {width})"
            )
        if len(outputs) != 1 or outputs[0].type != "tensor(float)" or len(outputs[0].shape) != 1:
            raise ModelError(f"release {release.version}: the graph must have one output, float32 (rows,)")
        self._input = graph_input.name
        self._outputs = [outputs[0].name]
        self.reasoner = _reasoner(release, feature_set)

    def probability(self, matrix: np.ndarray) -> np.ndarray:
        """float32 (rows,) of a float32 (rows, inputs) matrix."""
        return self._session.run(self._outputs, {self._input: matrix})[0]


def _session(release: Release) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return ort.InferenceSession(release.model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base but this
        raise ModelError(f"release {release.version}: ONNX Runtime cannot load its model: {error}") from error


def _reasoner(release: Release, feature_set: FeatureSet) -> Reasoner | None:
    if EXPLAINER_FILE not in release.manifest.files or not feature_set.families:
        return None
    try:
        return Reasoner(Explainer(release.read(EXPLAINER_FILE)), feature_set)
    except ExplainerError as error:
        raise ModelError(f"release {release.version}: {error}") from error
