"""``GET /health/live`` and ``GET /health/ready``."""

from __future__ import annotations

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec

from serving.contracts import Live, Problem, Ready
from serving.state import ServingState


@get("/health/live", summary="Is the process there")
async def live() -> Live:
    """Live as long as it answers; says nothing about scoring."""
    return Live()


def ready_route(service: ServingState) -> HTTPRouteHandler:
    """The route over a service."""

    @get("/health/ready", summary="Can it score", responses={503: ResponseSpec(Problem, description="Why it cannot.")})
    async def ready() -> Ready:
        """Ready with a verified release and a good generation."""
        return service.ready()

    return ready
