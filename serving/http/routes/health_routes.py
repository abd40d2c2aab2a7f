"""``GET /health/live`` and ``GET /health/ready``."""

from __future__ import annotations

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from msgspec import structs

from serving.intake.writer_thread import EventIntake
from serving.state import ServingState
from serving.wire import (
    Live,
    Problem,
    Ready,
)


@get("/health/live", summary="Is the process there")
async def live() -> Live:
    """Live as long as it answers; says nothing about scoring."""
    return Live()


def ready_route(service: ServingState, intake: EventIntake) -> HTTPRouteHandler:
    """The route over a service. That no event can be taken in is a warning: it can score."""

    @get("/health/ready", summary="Can it score", responses={503: ResponseSpec(Problem, description="Why it cannot.")})
    async def ready() -> Ready:
        """Ready with a verified release and a good generation."""
        events = intake.status()
        found = service.ready()
        return structs.replace(found, events=events, warnings=[*found.warnings, *([events.failure] if events.failure else [])])

    return ready
