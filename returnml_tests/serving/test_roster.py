"""What answers is chosen by (task, role): a further online task is a declaration and a route."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.features.sets.customer import CUSTOMER
from returnml.ledger.answer_records import logged_days, read_day
from returnml.release.folder import write_release
from returnml.settings import DataPaths, Settings, TaskSettings
from returnml.tasks.declared import customer_risk, return_risk
from returnml_tests.serving import shop
from returnml_tests.waiting import eventually
from serving.app import create_app
from serving.http.routes.score_route import score_route
from serving.http.task_routes import TASK_ROUTES, TaskRoute
from serving.scoring.customer_scorer import RiskReader
from serving.scoring.roster import OnlineTask, Seat
from serving.scoring.scorer import Scorer
from serving.state import ServingState
from serving.wire import CustomerRisk

LOYALTY = replace(customer_risk.TASK, name="loyalty", score_table="scores.loyalty", asset_prefix=("loyalty",))


def loyalty_route(service: ServingState, seat: Seat[RiskReader]) -> HTTPRouteHandler:
    @get("/v1/customers/{customer_id:str}/loyalty")
    async def loyalty(customer_id: FromPath[str]) -> CustomerRisk:
        return service.ask_about(seat, customer_id, RiskReader.risk)

    return loyalty


@pytest.fixture
def data(tmp_path: Path) -> Path:
    shop.publish(tmp_path)
    shop.deploy(tmp_path)
    return tmp_path


def client(data: Path, *routes: TaskRoute) -> TestClient:
    return TestClient(create_app(shop.settings(data), VirtualClock(shop.now_us()), reload_seconds=0.02, routes=routes))


def constant_of_customers(evidence: float) -> bytes:
    """``n / (n + evidence)`` of twice a customer's orders of a year: the graph of the shop takes two columns."""
    return shop.graph(CUSTOMER, prior=evidence, columns=("customer_orders_count_365d", "customer_orders_count_365d"))


def test_a_fourth_task_is_a_declaration_and_a_route(data: Path):
    route = TaskRoute(OnlineTask(LOYALTY, RiskReader), loyalty_route)
    with client(data, *TASK_ROUTES, route) as service:
        refused = service.get("/v1/customers/c1/loyalty")
        assert (refused.status_code, refused.json()["detail"]) == (503, "no release of loyalty decides yet: train one")
        made = write_release(
            DataPaths(data).releases, shop.manifest(CUSTOMER, task="loyalty"), {"model.onnx": constant_of_customers(2.0)}
        )
        shop.make_champion_of(data, made.version, "loyalty")
        eventually(lambda: service.get("/v1/customers/c1/loyalty").status_code == 200)
        answer = service.get("/v1/customers/c1/loyalty").json()
        assert (answer["release"], answer["probability"]) == (made.version, 0.75)
        assert service.get("/v1/customers/c1/risk").status_code == 503, "the other task has no release"
        roster = {(one["task"], one["role"]): one["release"] for one in service.get("/health/ready").json()["roster"]}
        assert roster.keys() == {("return_risk", "champion"), ("customer_risk", "champion"), ("loyalty", "champion")}
        assert (roster["loyalty", "champion"], roster["customer_risk", "champion"]) == (made.version, None)
        assert 'part="release",task="loyalty",role="champion"} 0' in service.get("/metrics").text


def test_another_role_is_an_entry_and_the_log_names_it(data: Path):
    shop.deploy(data, model=shop.graph(prior=16.0), seed=2)
    route = TaskRoute(OnlineTask(return_risk.TASK, Scorer, role="previous", is_required=True), score_route)
    with client(data, route) as service:
        scores = service.post("/v1/score", json=shop.order()).json()
        assert scores["lines"][0]["probability"] == pytest.approx(5 / 13), "that of the release before"
    root = DataPaths(data).inference_log
    [answer] = [answer for day in logged_days(root) for answer in read_day(root, day)]
    assert (answer.role, answer.release) == ("previous", scores["release"])


def test_a_bad_policy_of_any_task_leaves_the_one_before_deciding(data: Path, tmp_path: Path):
    file = tmp_path / "loyalty.toml"
    file.write_text('[rule]\nkind = "thresholds"\nreview = 0.0\n')
    made = write_release(
        DataPaths(data).releases, shop.manifest(CUSTOMER, task="customer_risk"), {"model.onnx": constant_of_customers(2.0)}
    )
    shop.make_champion_of(data, made.version, "customer_risk")
    own = shop.settings(data)
    own = Settings(data=own.data, privacy=own.privacy, tasks={"customer_risk": TaskSettings(policy=str(file))})
    with TestClient(create_app(own, VirtualClock(shop.now_us()), reload_seconds=0.02)) as service:
        assert service.get("/v1/customers/c1/risk").json()["action"] == "review"
        file.write_text("no policy")
        eventually(lambda: 'part="policy",task="customer_risk",role="champion"} 1' in service.get("/metrics").text)
        answer = service.get("/v1/customers/c1/risk").json()
        assert (answer["action"], answer["release"]) == ("review", made.version)
        assert any("goes on" in warning for warning in service.get("/health/ready").json()["warnings"])
