"""``POST /v1/score``."""

from __future__ import annotations

from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody

from serving.http.request_ids import name_request
from serving.scoring.roster import Seat
from serving.scoring.scorer import Scorer
from serving.state import ServingState
from serving.wire import (
    Order,
    Problem,
    Scores,
)

_PROBLEMS = {
    400: ResponseSpec(Problem, description="The body is no JSON."),
    422: ResponseSpec(Problem, description="A field is unknown, missing, of a wrong type or out of bounds; it is named."),
    503: ResponseSpec(
        Problem, description="No verified release or no good store generation yet; or the answer cannot be logged and must be."
    ),
}


def score_route(service: ServingState, seat: Seat[Scorer]) -> HTTPRouteHandler:
    """The route over a service. A closure: a resolved dependency costs 15 us a request."""

    @post("/v1/score", status_code=200, summary="Score the lines of an order", responses=_PROBLEMS)
    async def score(request: Request[Any, Any, Any], data: JSONBody[Order]) -> Scores:
        """For each line the probability that it comes back, and the expected cost of that."""
        scores = await service.score(seat, data)
        name_request(request.scope, scores.request_id)
        return scores

    return score
