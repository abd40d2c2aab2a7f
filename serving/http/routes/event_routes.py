"""``POST /v1/events``."""

from __future__ import annotations

from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler

from serving.http.openapi import (
    EVENT_RESPONSES,
    EventsOperation,
)
from serving.intake.event_answers import take_in
from serving.intake.writer_thread import EventIntake
from serving.wire import EventAnswers

MAX_BODY_BYTES = 16 << 20


def events_route(intake: EventIntake) -> HTTPRouteHandler:
    """The route over an intake."""

    @post(
        "/v1/events",
        status_code=202,
        summary="Take events in",
        responses=EVENT_RESPONSES,
        operation_class=EventsOperation,
        request_max_body_size=MAX_BODY_BYTES,
    )
    async def events(request: Request[Any, Any, Any]) -> EventAnswers:
        """One event or an array of them; for each whether it was accepted. Scores see it from now on."""
        return await take_in(intake, await request.body())

    return events
