"""A state that trail or manifest do not prove: the last proven release goes on, and the service says so."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.files import (
    readable_json,
    replace_file,
)
from returnml.release.deployment import audit_path
from returnml.release.folder import write_release
from returnml.settings import DataPaths
from returnml_tests.serving import shop
from returnml_tests.waiting import eventually
from serving.app import create_app


@pytest.fixture
def paths(tmp_path: Path) -> DataPaths:
    return DataPaths(tmp_path / "data")


def service(paths: DataPaths) -> TestClient:
    return TestClient(create_app(shop.settings(paths.root), VirtualClock(shop.now_us()), reload_seconds=0.02))


def edit(path: Path, **changed: object) -> None:
    replace_file(path, readable_json(msgspec.json.decode(path.read_bytes()) | changed))


def refused(client: TestClient) -> str:
    [line] = [
        line
        for line in client.get("/metrics").text.splitlines()
        if "returnml_refused{" in line and 'part="release",task="return_risk"' in line
    ]
    return line.rpartition(" ")[2]


def rejected(paths: DataPaths) -> str:
    about = shop.manifest(seed=9, rejected=["calibrated"])
    return write_release(paths.releases, about, {"model.onnx": shop.graph(prior=16.0)}).version


@pytest.mark.parametrize("damage", ["state", "trail"])
def test_the_last_proven_release_goes_on_until_the_files_agree_again(paths: DataPaths, damage: str):
    shop.publish(paths.root)
    good = shop.deploy(paths.root)
    state = paths.deployment_state("return_risk")
    trail = audit_path(state)
    whole = {file: file.read_bytes() for file in (state, trail)}

    def ready() -> dict:
        response = client.get("/health/ready")
        assert response.status_code == 200, "who scores with what is proven is ready"
        return response.json()

    with service(paths) as client:
        assert (ready()["warnings"], refused(client)) == ([], "0")
        if damage == "state":
            edit(state, champion=rejected(paths))
        else:
            replace_file(trail, trail.read_bytes().replace(b'"by":"test"', b'"by":"else"'))
        eventually(lambda: any("returnml trail mend return_risk" in warning for warning in ready()["warnings"]))
        assert (ready()["release"], refused(client)) == (good.version, "1")
        scores = client.post("/v1/score", json=shop.order()).json()
        assert scores["release"] == good.version
        assert scores["lines"][0]["probability"] == pytest.approx(5 / 13)
        for file, content in whole.items():
            replace_file(file, content)
        eventually(lambda: ready()["warnings"] == [])
        assert refused(client) == "0"
        other = shop.deploy(paths.root, seed=2)
        eventually(lambda: ready()["release"] == other.version)


def test_a_worker_that_has_proven_nothing_is_not_ready(paths: DataPaths):
    shop.publish(paths.root)
    shop.deploy(paths.root)
    edit(paths.deployment_state("return_risk"), champion=rejected(paths))
    with service(paths) as client:
        response = client.get("/health/ready")
        assert response.status_code == 503
        assert "returnml trail mend return_risk --trust trail" in response.json()["detail"]
        assert client.post("/v1/score", json=shop.order()).status_code == 503
        assert refused(client) == "1"


def test_a_rejected_release_does_not_score_though_state_and_trail_agree(paths: DataPaths):
    shop.publish(paths.root)
    shop.make_champion_of(paths.root, rejected(paths))
    with service(paths) as client:
        response = client.get("/health/ready")
        assert response.status_code == 503
        assert "rejected by its manifest: calibrated" in response.json()["detail"]
