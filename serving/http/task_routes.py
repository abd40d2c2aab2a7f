"""The tasks that are asked online, each with its route. A further one is an entry here, or of one's own ``create_app``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from litestar.handlers import HTTPRouteHandler

from returnml.tasks.declared import customer_risk, return_risk
from serving.http.routes.customer_routes import risk_route
from serving.http.routes.score_route import score_route
from serving.scoring.customer_scorer import RiskReader
from serving.scoring.roster import OnlineTask, Seat
from serving.scoring.scorer import Scorer
from serving.state import ServingState

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class TaskRoute(Generic[A]):
    """A task asked online, and the route over its seat."""

    online: OnlineTask[A]
    handler: Callable[[ServingState, Seat[A]], HTTPRouteHandler]


TASK_ROUTES: tuple[TaskRoute[Any], ...] = (
    TaskRoute(OnlineTask(return_risk.TASK, Scorer, is_required=True), score_route),
    TaskRoute(OnlineTask(customer_risk.TASK, RiskReader), risk_route),
)
