"""``POST /v1/events``."""

from __future__ import annotations

from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler

from returnml.settings import LimitSettings
from serving.http.openapi import (
    event_responses,
    events_operation,
)
from serving.intake.event_answers import take_in
from serving.intake.writer_thread import EventIntake
from serving.wire import EventAnswers


def events_route(intake: EventIntake, limits: LimitSettings) -> HTTPRouteHandler:
    """The route over an intake."""

    @post(
        "/v1/events",
        status_code=202,
        summary="Take events in",
        responses=event_responses(limits),
        operation_class=events_operation(limits),
        request_max_body_size=limits.events_body_bytes,
    )
    async def events(request: Request[Any, Any, Any]) -> EventAnswers:
        """One event or an array of them; for each whether it was accepted. Scores see it from now on."""
        return await take_in(intake, await request.body(), limits.events)

    return events
