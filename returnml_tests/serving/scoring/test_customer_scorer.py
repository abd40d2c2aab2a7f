"""``GET /v1/customers/{id}/risk``: the bits of the batch table at the cut-off, and clear answers where there are none."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.instants import instant_us
from returnml.modeling.export.onnx_export import export_onnx
from returnml.modeling.fit.boosting import (
    parameters,
    train,
)
from returnml.modeling.fit.calibration import Calibration
from returnml.policy.document import Policy, Thresholds
from returnml.release.folder import write_release
from returnml.settings import DataPaths, Settings, TaskSettings, TrainingSettings
from returnml.tasks.declared.customer_risk import TASK
from returnml.tasks.policies import policy_of
from returnml.warehouse.features.customer_vectors import build_customers
from returnml.warehouse.scores.daily_scores import build_scores
from returnml_tests.inference.conftest import LAST, LAST_US, build
from returnml_tests.serving import shop
from serving.app import create_app

CUT_OFF = datetime(LAST.year, LAST.month, LAST.day)
COLUMNS = "customer_id, probability, expected_cost_cents, value_cents, action, release"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("risk")


@pytest.fixture(scope="module")
def con(root: Path):
    """A shop with a generation of the cut-off and, for its customers, vectors."""
    con = build(root)
    build_customers(con, TASK.feature_set, CUT_OFF)
    return con


@pytest.fixture(scope="module")
def version(root: Path, con) -> str:
    """A real model of this shop's customers, with made-up labels."""
    names = TASK.feature_set.outputs
    x = con.sql(f"SELECT {', '.join(names)} FROM features.customers ORDER BY customer_id").pl().to_numpy(order="c")
    y = (
        np.nan_to_num(x[:, names.index("customer_orders_count_lifetime")]) + np.random.default_rng(1).normal(size=len(x)) > 2
    ).astype(int)
    params = parameters(TrainingSettings(threads=1, min_data_in_leaf=5))
    graph = export_onnx(train(x, y, names, params, 30), Calibration(method="platt", rise=1.1, fall=1.1, intercept=-0.2))
    about = shop.manifest(TASK.feature_set, task=TASK.name)
    return write_release(DataPaths(root).releases, about, {"model.onnx": graph}).version


@pytest.fixture(scope="module")
def settings(root: Path, version: str) -> Settings:
    shop.make_champion_of(root, version, TASK.name)
    return shop.settings(root)


def client_of(settings: Settings) -> TestClient:
    return TestClient(create_app(settings, VirtualClock(LAST_US), reload_seconds=0.02))


def test_every_customer_has_the_batchs_bits(con, settings: Settings, version: str):
    assert instant_us(CUT_OFF) == LAST_US
    build_scores(con, TASK, settings.paths.releases / version, LAST, LAST, policy_of(TASK, settings))
    batch = con.execute(f"SELECT {COLUMNS} FROM scores.customers WHERE day = ? ORDER BY customer_id", [LAST]).fetchall()
    assert len(batch) > 100
    assert len({row[1] for row in batch}) > 10
    assert {row[4] for row in batch} <= {"allow", "nudge"}
    with client_of(settings) as client:
        for customer, probability, *rest in batch:
            answer = client.get(f"/v1/customers/{customer}/risk").json()
            assert np.float32(answer["probability"]).tobytes() == np.float32(probability).tobytes(), customer
            assert [answer[name] for name in ("expected_cost_cents", "value_cents", "action", "release")] == rest, customer
            assert (answer["customer_id"], answer["known"]) == (customer, True)
            assert answer["requested_at"] == answer["features"]["cut_off"] == CUT_OFF.isoformat() + "Z"
            assert answer["feature_set_hash"] == TASK.feature_set.hash


def test_an_unknown_customer_is_scored_from_an_empty_history(settings: Settings):
    with client_of(settings) as client:
        answer = client.get("/v1/customers/nobody/risk").json()
        assert (answer["known"], answer["value_cents"]) == (False, 0)
        assert 0 < answer["probability"] < 1
        assert client.get(f"/v1/customers/{'x' * 201}/risk").status_code == 422


def test_the_tasks_policy_decides(settings: Settings, tmp_path: Path):
    file = tmp_path / "customers.toml"
    file.write_text('exploration_share = 0.5\n[rule]\nkind = "thresholds"\nreview = 0.0\n')
    own = Settings(data=settings.data, privacy=settings.privacy, tasks={TASK.name: TaskSettings(policy=str(file))})
    assert policy_of(TASK, own) == Policy(rule=Thresholds(review=0.0), exploration_share=0.5)
    with client_of(own) as client:
        assert client.get("/v1/customers/nobody/risk").json()["action"] == "review"


def test_without_a_release_it_says_so_and_orders_are_scored(tmp_path: Path):
    shop.publish(tmp_path)
    shop.deploy(tmp_path)
    with TestClient(create_app(shop.settings(tmp_path), VirtualClock(shop.now_us()), reload_seconds=0.02)) as client:
        refused = client.get("/v1/customers/c1/risk")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["detail"] == "no release of customer_risk decides yet: train one"
        assert client.get("/health/ready").json()["warnings"] == []
        assert client.post("/v1/score", json=shop.order()).status_code == 200


def test_a_release_of_other_features_is_refused_and_named(tmp_path: Path):
    shop.publish(tmp_path)
    shop.deploy(tmp_path)
    foreign = write_release(DataPaths(tmp_path).releases, shop.manifest(task=TASK.name), {"model.onnx": shop.graph()})
    shop.make_champion_of(tmp_path, foreign.version, TASK.name)
    with TestClient(create_app(shop.settings(tmp_path), VirtualClock(shop.now_us()), reload_seconds=0.02)) as client:
        refused = client.get("/v1/customers/c1/risk")
        assert refused.status_code == 503
        assert f"release {foreign.version}: made with feature-set hash" in refused.json()["detail"]
        assert len(client.get("/health/ready").json()["warnings"]) == 1
