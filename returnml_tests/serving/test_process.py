"""The service as it runs: a uvicorn process started by ``returnml serve``, and what it imports."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from returnml_tests.serving import shop
from returnml_tests.serving.test_events import placed

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = ("confluent_kafka", "dagster", "mlflow", "lightgbm", "pandas", "duckdb", "pandera", "polars", "onnx")


def test_imports_none_of_the_batch_stack():
    code = "import sys, serving.app; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert "onnxruntime" in loaded
    assert sorted(set(FORBIDDEN) & set(loaded)) == []


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("workers", [1, 2])
def test_serves_over_http(tmp_path, port, workers):
    data = tmp_path / "data"
    shop.publish(data)
    shop.deploy(data)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("RETURNML_")} | {"PYTHONPATH": str(ROOT)}
    environ |= {"RETURNML_PRIVACY__CUSTOMER_IDS": "as_delivered"}
    run = "import typer; from returnml.commands.serve import serve; typer.run(serve)"
    options = ["--port", str(port), "--data", str(data), "--workers", str(workers), "--at", "2011-06-15T12:00"]
    process = subprocess.Popen([sys.executable, "-c", run, *options], cwd=tmp_path, env=environ)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/health/ready", process)
        answer = httpx.post(f"{url}/v1/score", json=shop.order()).raise_for_status().json()
        assert [line["probability"] for line in answer["lines"]] == pytest.approx([5 / 13, 4 / 12], rel=1e-7)
        assert answer["requested_at"].startswith("2011-06-15T12:0")
        sent = httpx.post(f"{url}/v1/events", json=[placed(), placed("e2", "o10")]).raise_for_status().json()
        assert [e["seq"] for e in sent["events"]] == [1, 2]
        for _ in range(4 * workers):  # a connection each: whichever worker answers has seen both
            answer = httpx.post(f"{url}/v1/score", json=shop.order()).raise_for_status().json()
            assert answer["features"]["seq"] == 2
            assert answer["lines"][0]["probability"] == pytest.approx(7 / 15, rel=1e-7)
        refused = httpx.post(f"{url}/v1/score", json=shop.order(lines=[]))
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "lines")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the service ended"
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{url} did not answer in time")
