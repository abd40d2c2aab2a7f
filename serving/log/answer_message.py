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
        request_id=scores.request_id,
        order_id=scores.order_id,
        requested_at=scores.requested_at,
        release=scores.release,
        feature_set_hash=scores.feature_set_hash,
        generation=scores.features.generation,
        seq=scores.features.seq,
        is_stale=scores.features.stale,
        currency=scores.currency,
        lines=[
            ScoredLine(
                line_id=line.line_id,
                probability=line.probability,
                expected_cost_cents=line.expected_cost_cents,
                action=line.action,
                is_explored=line.is_explored,
            )
            for line in scores.lines
        ],
    )
