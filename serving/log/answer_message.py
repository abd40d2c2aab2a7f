"""An answer as the message that other systems get."""

from __future__ import annotations

from returnml.streaming.score_stream import (
    ScoredLine,
    ScoredOrder,
)
from serving.wire import Scores


def score_message(scores: Scores) -> ScoredOrder:
    """What ``returnml.streaming.score_stream.from_log`` makes of the logged answer."""
    return ScoredOrder(
        scores.request_id,
        scores.order_id,
        scores.requested_at,
        scores.release,
        scores.feature_set_hash,
        scores.features.generation,
        scores.features.seq,
        scores.features.stale,
        scores.currency,
        [ScoredLine(n.line_id, n.probability, n.expected_cost_cents, n.action, n.is_explored) for n in scores.lines],
    )
