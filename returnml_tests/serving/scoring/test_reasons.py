"""Reasons over HTTP: asked for, they are what the kernel says of the answer's own vectors; and they change nothing else."""

import numpy as np
import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.features.sets.order_line import ORDER_LINE
from returnml.ledger.answer_records import find
from returnml.modeling.export.explainer import build_explainer
from returnml.modeling.fit.boosting import (
    parameters,
    train,
)
from returnml.reasons.kernel import Explainer
from returnml.reasons.ordering import Reasoner
from returnml.release.folder import write_release
from returnml.settings import DataPaths, TrainingSettings
from returnml.warehouse.answers.answer_recomputation import served_vectors
from returnml_tests.serving import shop
from serving.app import create_app


@pytest.fixture(scope="module")
def explainer() -> bytes:
    """Of trees for which pieces and a returning customer raise the risk."""
    rng = np.random.default_rng(2)
    x = np.zeros((3_000, len(ORDER_LINE.outputs)), np.float32)
    used = [ORDER_LINE.outputs.index(name) for name in ("quantity", "customer_returns_count_365d")]
    x[:, used] = rng.integers(0, 3, (3_000, 2))
    margin = x[:, used].sum(axis=1) - 2
    params = parameters(TrainingSettings(threads=1, min_data_in_leaf=20, feature_fraction=1.0))
    return build_explainer(train(x, (margin > rng.normal(size=3_000)).astype(int), ORDER_LINE.outputs, params, 30))


def serve(data, files):
    shop.publish(data)
    release = write_release(DataPaths(data).releases, shop.manifest(), {"model.onnx": shop.graph(), **files})
    shop.make_champion_of(data, release.version)
    return TestClient(create_app(shop.settings(data, log_policy="require"), VirtualClock(shop.now_us())))


def test_reasons_are_given_when_asked_for_and_are_those_of_the_vectors(tmp_path, explainer):
    with serve(tmp_path, {"explainer.bin": explainer}) as client:
        plain = client.post("/v1/score", json=shop.order()).json()
        asked = client.post("/v1/score", json=shop.order(reasons=True)).json()
    logged = find(shop.settings(tmp_path).paths.inference_log, asked["request_id"])
    assert logged is not None
    expected = Reasoner(Explainer(explainer), ORDER_LINE).reasons(served_vectors(logged, ORDER_LINE))
    given = [line.pop("reasons") for line in asked["lines"]]
    assert given == [[{f: getattr(r, f) for f in r.__struct_fields__} for r in reasons] for reasons in expected]
    assert given[0][0]["text"] == "several pieces of one article"
    assert asked["lines"] == plain["lines"]


def test_a_release_without_an_explainer_says_so(tmp_path):
    with serve(tmp_path, {}) as client:
        assert client.post("/v1/score", json=shop.order()).status_code == 200
        refused = client.post("/v1/score", json=shop.order(reasons=True))
    assert refused.status_code == 422
    assert "holds no explainer" in refused.json()["errors"][0]["message"]


def test_large_orders_are_not_explained(tmp_path, explainer):
    line = shop.order()["lines"][1]
    lines = [line | {"line_id": f"l{i}"} for i in range(21)]
    with serve(tmp_path, {"explainer.bin": explainer}) as client:
        assert client.post("/v1/score", json=shop.order(reasons=True, lines=lines[:20])).status_code == 200
        refused = client.post("/v1/score", json=shop.order(reasons=True, lines=lines))
    assert refused.json()["errors"] == [{"field": "reasons", "message": "21 lines: reasons are given for at most 20"}]


def test_an_explainer_that_cannot_be_read_is_refused_with_its_release(tmp_path):
    with serve(tmp_path, {"explainer.bin": b"broken"}) as client:
        response = client.post("/v1/score", json=shop.order())
    assert response.status_code == 503
    assert "explainer.bin: " in response.json()["detail"]
