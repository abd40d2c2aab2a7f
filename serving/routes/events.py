"""``POST /v1/events``."""

from __future__ import annotations

from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec

from serving.contracts import EventAnswers, Problem
from serving.event_answers import take_in
from serving.intake import EventIntake

MAX_BODY_BYTES = 16 << 20

_PROBLEMS = {
    400: ResponseSpec(Problem, description="The body is no JSON."),
    413: ResponseSpec(Problem, description="The body is too large."),
    422: ResponseSpec(Problem, description="Too many events at once."),
    503: ResponseSpec(Problem, description="Nothing was acknowledged: the disk is full or the store unavailable. Send it again."),
}


def events_route(intake: EventIntake) -> HTTPRouteHandler:
    """The route over an intake."""

    @post("/v1/events", status_code=202, summary="Take events in", responses=_PROBLEMS, request_max_body_size=MAX_BODY_BYTES)
    async def events(request: Request[Any, Any, Any]) -> EventAnswers:
        """One event or an array of them; for each whether it was accepted. Scores see it from now on."""
        return await take_in(intake, await request.body())

    return events
