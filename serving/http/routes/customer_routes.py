"""``GET /v1/customers/{customer_id}/features`` and ``/risk``."""

from __future__ import annotations

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery

from serving.scoring.customer_scorer import RiskReader
from serving.scoring.roster import Seat
from serving.state import ServingState
from serving.wire import (
    CustomerFeatures,
    CustomerRisk,
    Problem,
)

_PROBLEMS = {
    422: ResponseSpec(Problem, description="No customer can have this id."),
    503: ResponseSpec(Problem, description="No good store generation or no release yet, or it does not serve these features."),
}


def customer_route(service: ServingState) -> HTTPRouteHandler:
    """The route over a service."""

    @get("/v1/customers/{customer_id:str}/features", summary="What is known of a customer now", responses=_PROBLEMS)
    async def customer_features(customer_id: FromPath[str], raw: FromQuery[bool] = False) -> CustomerFeatures:
        """The features of a customer as of now. Of an unknown one too: ``known`` is false, counts are 0."""
        return service.customer(customer_id, raw)

    return customer_features


def risk_route(service: ServingState, seat: Seat[RiskReader]) -> HTTPRouteHandler:
    """The route over a service."""

    @get("/v1/customers/{customer_id:str}/risk", summary="Whether a customer's next orders will come back", responses=_PROBLEMS)
    async def customer_risk(customer_id: FromPath[str]) -> CustomerRisk:
        """The probability that any line which the customer orders in the next 30 days comes back, as of now."""
        return service.ask_about(seat, customer_id, RiskReader.risk)

    return customer_risk
