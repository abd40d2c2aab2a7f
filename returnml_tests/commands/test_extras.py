"""What the base installation says where an extra is missing, and what the extras name."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from returnml_tests.roots import rooted

ROOT = Path(__file__).parents[2]
FIXED = {
    "dagster",
    "dagster-webserver",
    "dagster-duckdb",
    "dagster-mlflow",
    "duckdb",
    "polars",
    "lightgbm",
    "mlflow",
    "pandera",
    "onnxruntime",
    "litestar",
}


def without(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """``returnml`` as it runs where a module is not installed."""
    code = (
        f"import sys; sys.modules[{module!r}] = None; sys.argv = {['returnml', *words]!r}; from returnml.cli import main; main()"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(("module", "extra", "command"), [("polars", "line", "status"), ("uvicorn", "serve", "serve")])
def test_a_command_names_the_extra_that_it_needs(module, extra, command, tmp_path):
    ended = without(module, command, "--data", str(rooted(tmp_path)))
    assert ended.returncode == 2
    assert ended.stderr.strip() == (
        f"refused: this command needs {module}, which the extra '{extra}' brings: pip install \"returnml[{extra}]\""
    )


def test_a_module_of_nobody_is_an_error_of_ours():
    ended = without("returnml.commands.demo", "status")
    assert ended.returncode == 1
    assert "ModuleNotFoundError" in ended.stderr


def test_the_extra_line_names_every_fixed_package():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {name.partition("[")[0] for name in extras["line"]} >= FIXED


def test_locks_pin_hashes():
    for lock in ("requirements.lock", "requirements-serve.lock", "requirements-dev.lock"):
        lines = (ROOT / lock).read_text().splitlines()
        assert sum("==" in line for line in lines) <= sum("--hash=sha256:" in line for line in lines), lock
