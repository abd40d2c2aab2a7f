"""Export: trees and calibration as one ONNX graph that gives the calibrated probability in one call.

The graph *is* the model from here on: scoring, serving and evaluation of a release run it and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from returnml.modeling.fit.boosting import (
    TreeModel,
    as_regression,
)
from returnml.modeling.fit.calibration import Calibration

if TYPE_CHECKING:
    import onnx

INPUT_NAME = "features"
OUTPUT_NAME = "probability"
OPSET = 17
OPSET_ML = 1
IR_VERSION = 8


def export_onnx(model: TreeModel, calibration: Calibration) -> bytes:
    """Build the graph ``features`` float32 (n, inputs) -> ``probability`` float32 (n,).

    Returns:
        The serialised model; the same trees and calibration give the same bytes.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    def node(operation: str, inputs: list[str], output: str) -> str:
        nodes.append(helper.make_node(operation, inputs, [output], name=output))
        return output

    margins = []
    for k in range(len(model.texts)):
        trees = _tree_node(model, k)
        trees.name = f"trees_{k}"
        trees.input[:] = [INPUT_NAME]
        trees.output[:] = [f"margin_{k}"]
        nodes.append(trees)
        margins.append(f"margin_{k}")
    margin = margins[0]
    if len(margins) > 1:
        margin = node("Mean", margins, "margin")

    def scaled(source: str, factor: float, output: str) -> str:
        return node("Mul", [source, constant(f"{output}_factor", np.array([factor], np.float32))], output)

    if calibration.method != "beta":
        risen = scaled(margin, calibration.rise, "risen")
    else:
        ln_p = node("Softplus", [node("Neg", [margin], "minus_margin")], "minus_ln_p")
        ln_q = node("Softplus", [margin], "minus_ln_q")
        risen = node("Add", [scaled(ln_p, -calibration.rise, "rise"), scaled(ln_q, calibration.fall, "fall")], "risen")
    log_odds = node("Add", [risen, constant("intercept", np.array([calibration.intercept], np.float32))], "log_odds")
    column = node("Sigmoid", [log_odds], "probability_column")
    node("Reshape", [column, constant("flat", np.array([-1], np.int64))], OUTPUT_NAME)

    graph = helper.make_graph(
        nodes,
        "returnml",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["rows", len(model.names)])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["rows"])],
        constants,
    )
    proto = helper.make_model(
        graph,
        producer_name="returnml",
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)],
    )
    proto.ir_version = IR_VERSION
    onnx.checker.check_model(proto)
    return proto.SerializeToString(deterministic=True)


def _tree_node(model: TreeModel, k: int) -> onnx.NodeProto:
    import lightgbm as lgb
    from onnxmltools.convert import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    booster = lgb.Booster(model_str=as_regression(model.texts[k]))
    converted = convert_lightgbm(booster, initial_types=[("X", FloatTensorType([None, len(model.names)]))], zipmap=False)
    trees = [n for n in converted.graph.node if n.op_type == "TreeEnsembleRegressor"]
    if len(trees) != 1:
        raise RuntimeError(f"expected one tree ensemble, the converter gave {len(trees)}")
    return trees[0]
