"""The explainer of a release: its trees as paths, and the proof that the contributions are LightGBM's own."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

import msgspec
import numpy as np

from returnml.errors import Refusal
from returnml.modeling.data.spread import evenly_spread
from returnml.modeling.fit.boosting import TreeModel
from returnml.reasons.kernel import Explainer, ExplainerDocument, Paths

TOLERANCE = 1e-5
PROOF_ROWS = 300
_CATEGORICAL, _DEFAULT_LEFT, _NAN_IS_MISSING = 1, 2, 2
_REFUSED = {"average_output": "averaged trees", "is_linear=1": "linear trees"}


class ExplainerProof(msgspec.Struct, frozen=True, kw_only=True):
    """Largest differences in log-odds, over evenly spread rows: from LightGBM's contributions, and of the sum of a row's
    contributions from its raw score."""

    rows: int
    tolerance: float
    max_from_lightgbm: float
    max_from_score: float

    @property
    def holds(self) -> bool:
        return self.rows > 0 and self.max_from_lightgbm <= self.tolerance and self.max_from_score <= self.tolerance


class ExplainerProofError(Refusal):
    """The contributions are not what they must be; the message has the figures."""


def build_explainer(model: TreeModel) -> bytes:
    """The content of ``explainer.bin``; the same trees give the same bytes. Several boosters count as their mean.

    Raises:
        ValueError: for trees that cannot be explained so: categorical splits, zero as missing, linear or averaged trees.
    """
    by_inputs: dict[int, list[_Leaf]] = defaultdict(list)
    base = 0.0
    for text in model.texts:
        for sign, reason in _REFUSED.items():
            if f"\n{sign}\n" in text:
                raise ValueError(f"the explainer knows no {reason}")
        for tree in text.split("\nTree=")[1:]:
            for leaf in _leaves(tree):
                leaf.value /= len(model.texts)
                base += leaf.value * math.prod(c.share for c in leaf.conditions.values())
                if leaf.conditions:
                    by_inputs[len(leaf.conditions)].append(leaf)
    paths = tuple(_paths(inputs, by_inputs[inputs]) for inputs in sorted(by_inputs))
    return msgspec.msgpack.encode(ExplainerDocument(len(model.names), base, paths))


def prove_explainer(explainer: Explainer, model: TreeModel, x: np.ndarray) -> ExplainerProof:
    """Compare with LightGBM on up to ``PROOF_ROWS`` rows.

    Args:
        x: float32, shape (n, inputs).

    Raises:
        ExplainerProofError: with the figures, where a difference exceeds the tolerance.
    """
    rows = x[evenly_spread(len(x), PROOF_ROWS)]
    ours = explainer.contributions(rows)
    theirs = np.mean([b.predict(rows, pred_contrib=True, num_threads=1) for b in model.boosters()], axis=0)
    both = np.abs(np.column_stack([ours, np.full(len(rows), explainer.base)]) - theirs)
    score = np.abs(ours.sum(axis=1) + explainer.base - model.margin(rows))
    proof = ExplainerProof(
        rows=len(rows), tolerance=TOLERANCE, max_from_lightgbm=float(both.max()), max_from_score=float(score.max())
    )
    if not proof.holds:
        raise ExplainerProofError(
            f"explainer: contributions differ from LightGBM's by up to {proof.max_from_lightgbm:.3g} and their sums from the "
            f"raw score by up to {proof.max_from_score:.3g}; at most {TOLERANCE:g} is allowed"
        )
    return proof


@dataclass
class _Condition:
    low: float = -np.inf
    high: float = np.inf
    takes_missing: bool = True
    share: float = 1.0

    def split(self, threshold: float, is_left: bool, takes_missing: bool, share: float) -> _Condition:
        low, high = (self.low, min(self.high, threshold)) if is_left else (max(self.low, threshold), self.high)
        return _Condition(low, high, self.takes_missing and takes_missing, self.share * share)


@dataclass
class _Leaf:
    value: float
    conditions: dict[int, _Condition] = field(default_factory=dict)


def _leaves(tree: str) -> list[_Leaf]:
    """The leaves of one tree of a model text, each with one condition for every input that its path asks."""
    fields = dict(line.split("=", 1) for line in tree.split("\n") if "=" in line)
    values = [float(v) for v in fields["leaf_value"].split()]
    if len(values) == 1:
        return [_Leaf(values[0])]
    feature, left, right, decision, leaf_count, node_count = (
        [int(v) for v in fields[name].split()]
        for name in ("split_feature", "left_child", "right_child", "decision_type", "leaf_count", "internal_count")
    )
    threshold = [float(v) for v in fields["threshold"].split()]
    found: list[_Leaf] = []
    waiting: list[tuple[int, dict[int, _Condition]]] = [(0, {})]
    while waiting:
        node, conditions = waiting.pop()
        if node < 0:
            found.append(_Leaf(values[~node], conditions))
            continue
        kind = decision[node]
        if kind & _CATEGORICAL or kind >> 2 != _NAN_IS_MISSING:
            raise ValueError(f"the explainer knows numerical splits with a rule for NaN only, not decision type {kind}")
        asked = conditions.get(feature[node], _Condition())
        for child, is_left in ((left[node], True), (right[node], False)):
            count = leaf_count[~child] if child < 0 else node_count[child]
            takes_missing = bool(kind & _DEFAULT_LEFT) == is_left
            narrowed = asked.split(threshold[node], is_left, takes_missing, count / node_count[node])
            waiting.append((child, {**conditions, feature[node]: narrowed}))
    return found


def _paths(inputs: int, leaves: list[_Leaf]) -> Paths:
    def rows(of: str, dtype: str) -> bytes:
        return np.array([[getattr(c, of) for c in leaf.conditions.values()] for leaf in leaves], dtype).T.tobytes()

    return Paths(
        inputs,
        np.array([list(leaf.conditions) for leaf in leaves], "<i2").T.tobytes(),
        rows("low", "<f4"),
        rows("high", "<f4"),
        rows("takes_missing", "u1"),
        rows("share", "<f8"),
        np.array([leaf.value for leaf in leaves], "<f8").tobytes(),
    )
