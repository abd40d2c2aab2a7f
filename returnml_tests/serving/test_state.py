"""Ready only with a verified release and a good generation; both reload without a restart."""

import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.settings import DataPaths
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.serving import shop
from returnml_tests.store.streams import feature_set as other_features
from returnml_tests.store.streams import warehouse as other_warehouse
from returnml_tests.waiting import eventually
from serving.app import create_app


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def service(data):
    app = create_app(shop.settings(data), VirtualClock(shop.now_us()), reload_seconds=0.02)
    return TestClient(app, raise_server_exceptions=False)


def reason(client):
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert response.headers["content-type"].startswith("application/problem+json")
    assert response.headers["retry-after"] == "2"
    return response.json()["detail"]


def test_an_empty_data_root_is_live_but_not_ready(service):
    with service as client:
        assert client.get("/health/live").json() == {"status": "live"}
        assert "no release is champion" in reason(client)
        assert "no generation is published" in reason(client)
        response = client.post("/v1/score", json=shop.order())
        assert response.status_code == 503
        assert "no release is champion" in response.json()["detail"]


def test_becomes_ready_when_release_and_generation_arrive(service, data):
    with service as client:
        reason(client)
        generation = shop.publish(data)
        eventually(lambda: "generation" not in reason(client))
        release = shop.deploy(data)
        eventually(lambda: client.get("/health/ready").status_code == 200)
        ready = client.get("/health/ready").json()
        assert (ready["release"], ready["features"]["generation"]) == (release.version, generation.name)
        assert ready["status"] == "ready"
        eventually(lambda: client.get("/health/ready").json()["warnings"] == [])


def test_reloads_release_and_generation(service, data):
    shop.publish(data)
    shop.deploy(data)

    def first_probability():
        return client.post("/v1/score", json=shop.order()).json()["lines"][0]["probability"]

    with service as client:
        assert first_probability() == pytest.approx(5 / 13)
        shop.deploy(data, model=shop.graph(prior=16.0), seed=2)
        eventually(lambda: first_probability() == pytest.approx(5 / 21))
        # Two days before, the order of the last day is not known yet.
        shop.publish(data, shop.CUT_OFF_US - 2 * shop.DAY_US)
        eventually(lambda: first_probability() == pytest.approx(4 / 20))


def test_a_changed_release_is_refused(service, data):
    shop.publish(data)
    release = shop.deploy(data)
    model = release.path / "model.onnx"
    model.write_bytes(model.read_bytes() + b" ")
    with service as client:
        assert "model.onnx: its bytes do not match the manifest" in reason(client)


def test_a_repaired_release_is_loaded_though_its_pointer_stayed(service, data):
    shop.publish(data)
    release = shop.deploy(data)
    model = release.path / "model.onnx"
    good = model.read_bytes()
    model.write_bytes(good[:-1])
    with service as client:
        reason(client)
        model.write_bytes(good)
        eventually(lambda: client.get("/health/ready").status_code == 200)


def test_an_unforeseen_error_is_a_problem_without_its_insides(service, data, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret")

    monkeypatch.setattr("serving.state.ServingState.score", broken)
    with service as client:
        response = client.post("/v1/score", json=shop.order())
    assert (response.status_code, response.json()["status"]) == (500, 500)
    assert response.headers["content-type"].startswith("application/problem+json")
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"feature_set_hash": "0" * 64}, "feature-set hash 000000000000"),
        ({"inputs": ["quantity"]}, "its inputs are not the outputs"),
        ({"model": b"no graph"}, "ONNX Runtime cannot load"),
        ({"model": shop.graph(width=7)}, "the graph takes tensor"),
    ],
    ids=["hash", "inputs", "bytes", "width"],
)
def test_a_release_of_other_features_is_refused(service, data, changed, rule):
    shop.publish(data)
    shop.deploy(data, **changed)
    with service as client:
        assert rule in reason(client)


def test_a_torn_or_foreign_generation_leaves_the_old_one_serving(service, data):
    generation = shop.publish(data)
    shop.deploy(data)

    def ready():
        return client.get("/health/ready").json()

    with service as client:
        assert ready()["warnings"] == []
        publish_generation(other_warehouse([]), [other_features()], shop.CUT_OFF_US, LmdbBackend(DataPaths(data).store))
        eventually(lambda: any("foreign generation" in warning for warning in ready()["warnings"]))
        assert ready()["features"]["generation"] == generation.name
        assert client.post("/v1/score", json=shop.order()).status_code == 200
        shop.publish(data, shop.CUT_OFF_US - 1)
        eventually(lambda: ready()["warnings"] == [])
