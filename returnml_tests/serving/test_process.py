"""The service as it runs: a uvicorn process started by ``returnml serve``, and what it imports."""

import json
import subprocess
import sys
from contextlib import closing
from typing import Any

import pytest

from returnml_tests.drills.service import ROOT, Connection, Service
from returnml_tests.serving import shop
from returnml_tests.serving.intake.test_events import placed

FORBIDDEN = ("confluent_kafka", "dagster", "mlflow", "lightgbm", "pandas", "duckdb", "pandera", "polars", "onnx")


def test_imports_none_of_the_batch_stack():
    code = "import sys, serving.app; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert "onnxruntime" in loaded
    assert sorted(set(FORBIDDEN) & set(loaded)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_serves_over_http(tmp_path, workers):
    data = tmp_path / "data"
    shop.publish(data)
    shop.deploy(data)
    options = ["--at", "2011-06-15T12:00"]
    service = Service(data, workers, {"RETURNML_PRIVACY__CUSTOMER_IDS": "as_delivered"}, options)
    service.start("/health/ready")
    try:
        answer = post(service, "/v1/score", shop.order(), 200)
        assert [line["probability"] for line in answer["lines"]] == pytest.approx([5 / 13, 4 / 12], rel=1e-7)
        assert answer["requested_at"] == "2011-06-15T12:00:00Z"
        sent = post(service, "/v1/events", [placed(), placed("e2", "o10")], 202)
        assert [e["seq"] for e in sent["events"]] == [1, 2]
        for _ in range(4 * workers):  # whichever worker answers has seen both
            answer = post(service, "/v1/score", shop.order(), 200)
            assert answer["features"]["seq"] == 2
            assert answer["lines"][0]["probability"] == pytest.approx(7 / 15, rel=1e-7)
        assert post(service, "/v1/score", shop.order(lines=[]), 422)["errors"][0]["field"] == "lines"
        service.stop()
        said = [json.loads(line) for line in (data / "logs" / "service.log").read_text().splitlines()]
        assert {"uvicorn.error", "serving.scoring.roster"} <= {line["logger"] for line in said}
    finally:
        service.kill()


def post(service: Service, path: str, body: object, expected: int) -> Any:
    """The answer on a connection of its own."""
    with closing(Connection(service.port)) as connection:
        status, answer = connection.post(path, body)
    assert status == expected, answer
    return answer
