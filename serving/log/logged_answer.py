"""An answer as the inference log keeps it."""

from __future__ import annotations

from returnml.ledger.answer_records import Answer
from serving.scoring.scorer import Scored


def logged_answer(scored: Scored, latency_us: int, worker: str) -> Answer:
    """What ``replay`` and the proof of consistency need of an answer.

    Args:
        latency_us: from the decoded order to the scores.
        worker: the process that answered.
    """
    scores, vectors = scored.scores, scored.vectors
    seen = vectors.seen
    cut_off_us = seen.generation.cut_off_us
    return Answer(
        request_id=scores.request_id,
        order_id=scores.order_id,
        requested_at_us=vectors.requested_at_us,
        mark=seen.seq,
        generation=seen.generation.name,
        visible_until_us=max(cut_off_us, seen.known_at_us + 1),
        derived_until_us=cut_off_us,
        feature_set_hash=scores.feature_set_hash,
        release=scores.release,
        role=scored.role,
        worker=worker,
        latency_us=latency_us,
        currency=scores.currency,
        is_stale=seen.is_stale,
        policy=scored.policy,
        inputs=scored.columns,
        raw=vectors.raw_bytes(),
        vectors=vectors.matrix.tobytes(),
        probability=[line.probability for line in scores.lines],
        expected_cost_cents=[line.expected_cost_cents for line in scores.lines],
        action=[line.action for line in scores.lines],
        is_explored=[line.is_explored for line in scores.lines],
    )
