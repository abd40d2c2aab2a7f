"""A logged answer computed again, from the log and the release alone: the same bits, or where not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from returnml.errors import Refusal
from returnml.features.feature_set import FeatureSet
from returnml.features.request_inputs import RequestPlan
from returnml.features.vector import assemble
from returnml.ledger.answer_records import Answer
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.policy.decisions import Decider
from returnml.store.reading.read_plan import exact_values


class ReplayError(Refusal):
    """An answer that this code cannot compute again; the message says why."""


@dataclass(frozen=True)
class ReplayedLine:
    """One line, as answered and as computed again.

    Attributes:
        differing: features whose bits differ.
    """

    line_id: str
    differing: tuple[str, ...]
    probability: float
    replayed_probability: float
    expected_cost_cents: int
    replayed_cost_cents: int
    action: str
    replayed_action: str

    @property
    def is_identical(self) -> bool:
        answered = (self.probability, self.expected_cost_cents, self.action)
        return answered == (self.replayed_probability, self.replayed_cost_cents, self.replayed_action) and not self.differing


def raw_values(answer: Answer, feature_set: FeatureSet) -> dict[str, list[int | None]]:
    """The exact raw inputs by name, in ``FeatureSet.raw_names`` order: one integer or None for each line.

    Request inputs and basket aggregates come from the logged request, aggregates from the logged words.

    Raises:
        ReplayError: if the answer is of another feature set.
    """
    if answer.feature_set_hash != feature_set.hash:
        raise ReplayError(
            f"request {answer.request_id}: answered with feature-set hash {answer.feature_set_hash[:12]}, "
            f"this code declares {feature_set.name} {feature_set.hash[:12]}"
        )
    words = np.frombuffer(answer.raw, "<i8").reshape(-1, answer.lines)
    values = RequestPlan(feature_set).values(answer.inputs, answer.requested_at_us)
    values += exact_values(feature_set, words, answer.requested_at_us)
    return dict(zip(feature_set.raw_names, values, strict=True))


def served_vectors(answer: Answer, feature_set: FeatureSet) -> np.ndarray:
    """The logged vectors: float32, shape (lines, features)."""
    return np.frombuffer(answer.vectors, "<f4").reshape(answer.lines, len(feature_set.outputs))


def replay(answer: Answer, feature_set: FeatureSet, model: bytes) -> list[ReplayedLine]:
    """Compute an answer again.

    Args:
        answer: as logged.
        feature_set: the declarations; their hash must be the logged one.
        model: ``model.onnx`` of the release that answered.

    Raises:
        ReplayError: if the answer is of another feature set.
    """
    raw = {
        name: np.array([np.nan if v is None else float(v) for v in values], np.float64)
        for name, values in raw_values(answer, feature_set).items()
    }
    matrix = assemble(feature_set, raw)
    served = served_vectors(answer, feature_set)
    same = (matrix.view(np.uint32) == served.view(np.uint32)) | (np.isnan(matrix) & np.isnan(served))
    probability = OnnxScorer(model).probability(matrix)
    value = np.array(answer.inputs["line_value_cents"], np.int64)
    decided = Decider(answer.policy).decide(probability, value, answer.inputs)
    actions = decided.action_names()
    return [
        ReplayedLine(
            line_id,
            tuple(name for name, is_same in zip(feature_set.outputs, same[i], strict=True) if not is_same),
            answer.probability[i],
            float(probability[i]),
            answer.expected_cost_cents[i],
            int(decided.expected_cost_cents[i]),
            answer.action[i],
            actions[i],
        )
        for i, line_id in enumerate(answer.inputs["line_id"])
    ]
