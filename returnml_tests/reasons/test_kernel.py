"""The kernel: LightGBM's own contributions, and Shapley's formula itself on a small game."""

from itertools import combinations
from math import factorial

import lightgbm as lgb
import numpy as np
import pytest

from returnml.modeling.export.explainer import (
    ExplainerProofError,
    build_explainer,
    prove_explainer,
)
from returnml.modeling.fit.boosting import (
    TreeModel,
    parameters,
    round_thresholds_down,
    train,
)
from returnml.reasons.kernel import Explainer, ExplainerError
from returnml.settings import TrainingSettings

INPUTS = 12


def data(rows: int = 4_000, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Inputs with ties, missing values, and one that is never missing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, INPUTS)).astype(np.float32)
    x[:, :4] = np.round(x[:, :4])
    x[rng.random(x.shape) < 0.15] = np.nan
    x[:, 5] = rng.integers(0, 4, rows)
    margin = np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 1] * x[:, 6]) - 0.4 * x[:, 5] + np.isnan(x[:, 7])
    return x, (rng.random(rows) < 1 / (1 + np.exp(-margin))).astype(np.int8)


def model_of(seeds: list[int], rounds: int = 60, **changes: object) -> TreeModel:
    params = parameters(TrainingSettings(threads=1, min_data_in_leaf=20)) | changes
    return train(*data(), [f"f{i}" for i in range(INPUTS)], params, rounds, seeds)


@pytest.mark.parametrize(
    "model",
    [
        model_of([1]),
        model_of([1, 2, 3]),
        model_of([1], boosting="dart", num_leaves=63),
        model_of([1], rounds=2, min_data_in_leaf=3_000),
    ],
    ids=["plain", "three boosters", "dart", "no split"],
)
def test_contributions_are_lightgbms_and_sum_to_the_raw_score(model: TreeModel):
    x = np.concatenate([data(300, seed=9)[0], np.full((1, INPUTS), np.nan, np.float32), data()[0][:50]])
    explainer = Explainer(build_explainer(model))
    proof = prove_explainer(explainer, model, x)
    assert proof.rows == 300
    assert max(proof.max_from_lightgbm, proof.max_from_score) < 1e-9


def test_contributions_are_shapleys_formula():
    """One small tree, every subset of its inputs: the value of a subset follows the training rows where an input is not in it."""
    model = model_of([1], rounds=1, num_leaves=9, feature_fraction=1.0)
    tree = lgb.Booster(model_str=model.texts[0]).dump_model()["tree_info"][0]["tree_structure"]
    used = sorted(_used(tree))
    assert len(used) >= 3
    explainer = Explainer(build_explainer(model))
    for row in data(20, seed=4)[0]:
        expected = np.zeros(INPUTS)
        for i in used:
            others = [j for j in used if j != i]
            for size in range(len(used)):
                weight = factorial(size) * factorial(len(used) - size - 1) / factorial(len(used))
                for subset in combinations(others, size):
                    expected[i] += weight * (_value(tree, row, {*subset, i}) - _value(tree, row, set(subset)))
        np.testing.assert_allclose(explainer.contributions(row[None])[0], expected, atol=1e-12)


def test_a_row_has_the_same_bits_alone_and_in_company():
    explainer, x = Explainer(build_explainer(model_of([1]))), data(40)[0]
    together = explainer.contributions(x)
    assert all(explainer.contributions(x[i : i + 1]).tobytes() == together[i].tobytes() for i in range(40))


def test_the_same_trees_give_the_same_bytes():
    assert build_explainer(model_of([1])) == build_explainer(model_of([1]))


def test_an_explainer_of_other_trees_is_no_proof():
    with pytest.raises(ExplainerProofError, match="differ from LightGBM's by up to"):
        prove_explainer(Explainer(build_explainer(model_of([2]))), model_of([1]), data()[0])


def test_what_it_cannot_explain_is_refused():
    x, y = data()
    params = {"objective": "binary", "verbose": -1, "num_threads": 1}
    zero = lgb.train(params | {"zero_as_missing": True}, lgb.Dataset(x, y), 2)
    with pytest.raises(ValueError, match="numerical splits with a rule for NaN only"):
        build_explainer(TreeModel((round_thresholds_down(zero.model_to_string()),), tuple(map(str, range(INPUTS)))))
    forest = lgb.train(params | {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, lgb.Dataset(x, y), 2)
    with pytest.raises(ValueError, match="averaged trees"):
        build_explainer(TreeModel((round_thresholds_down(forest.model_to_string()),), tuple(map(str, range(INPUTS)))))
    explainer = Explainer(build_explainer(model_of([1])))
    for wrong in (x[:, 1:], x.astype(np.float64)):
        with pytest.raises(ValueError, match=r"takes float32 \(n, 12\)"):
            explainer.contributions(wrong)
    with pytest.raises(ExplainerError, match=r"explainer\.bin: "):
        Explainer(b"\x93")


def _used(node: dict) -> set[int]:
    if "leaf_value" in node:
        return set()
    return {node["split_feature"]} | _used(node["left_child"]) | _used(node["right_child"])


def _value(node: dict, row: np.ndarray, known: set[int]) -> float:
    if "leaf_value" in node:
        return node["leaf_value"]
    left, right = node["left_child"], node["right_child"]
    if node["split_feature"] in known:
        x = float(row[node["split_feature"]])
        is_left = node["default_left"] if np.isnan(x) else x <= node["threshold"]
        return _value(left if is_left else right, row, known)
    counts = [child.get("leaf_count", child.get("internal_count")) for child in (left, right)]
    return (counts[0] * _value(left, row, known) + counts[1] * _value(right, row, known)) / sum(counts)
