"""The extra ``serve`` in an environment of its own: does it serve a release, how large is it, and what does it import?

    python -m returnml_tests.drills.serve_alone --data data/demo-simulate

Needs a data root with a release and a published store, as ``make demo`` leaves it. Scores one order that nobody placed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

from returnml_tests.drills.service import ROOT
from returnml_tests.ports import free_port
from returnml_tests.waiting import PATIENCE_SECONDS

LINE_ONLY = ("dagster", "duckdb", "lightgbm", "mlflow", "pandas", "pandera", "polars", "sklearn")
ORDER = {
    "order_id": "serve-alone-1",
    "customer_id": "nobody-has-this-id",
    "currency": "EUR",
    "country": "DE",
    "lines": [{"line_id": "serve-alone-1-1", "article_id": "a00001", "quantity": 1, "unit_price_cents": 4_995}],
}
IMPORTS = """
import json, sys
import serving.app
from importlib.metadata import packages_distributions
found = packages_distributions()
tops = {name.partition(".")[0] for name in sys.modules}
print(json.dumps(sorted({d for top in tops for d in found.get(top, [])})))
"""


def installed(folder: Path) -> Path:
    """A new environment with the extra ``serve`` alone, as locked; its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements-serve.lock")], check=True)
    subprocess.run([*pip, "--no-deps", f"{ROOT}[serve]"], check=True)
    subprocess.run([str(python), "-m", "pip", "check"], check=True)
    return python


def megabytes(folder: Path) -> float:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink()) / 1e6


def imported(python: Path, folder: Path) -> list[str]:
    """The distributions that the service imports before its first request."""
    ran = subprocess.run([str(python), "-c", IMPORTS], cwd=folder, env=_environ(), check=True, capture_output=True, text=True)
    return json.loads(ran.stdout)


def scored(python: Path, data: Path, folder: Path) -> dict:
    """The answer to ``ORDER`` of ``returnml serve`` in that environment."""
    port = free_port()
    command = [str(python.with_name("returnml")), "serve", "--port", str(port), "--at", "cutoff", "--data", str(data)]
    service = subprocess.Popen(command, cwd=folder, env=_environ())
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while service.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/score", json.dumps(ORDER).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)
    finally:
        service.terminate()
        service.wait(PATIENCE_SECONDS)


def refusal(python: Path, data: Path, folder: Path) -> str:
    """What a command of the line says in that environment."""
    command = [str(python.with_name("returnml")), "run", "--data", str(data)]
    ran = subprocess.run(command, cwd=folder, env=_environ(), capture_output=True, text=True)
    if ran.returncode != 2:
        raise SystemExit(f"`returnml run` without the extra line ended with {ran.returncode}: {ran.stderr}")
    return ran.stderr.strip()


def _environ() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("RETURNML_") and k != "PYTHONPATH"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a data root with a release and a published store")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = installed(folder / "venv")
        found = imported(python, folder)
        print(f"installed: {megabytes(folder / 'venv'):,.0f} MB")
        print(f"imported by serving.app, {len(found)} distributions: {', '.join(found)}")
        heavy = [d for d in found if d in LINE_ONLY]
        if heavy:
            raise SystemExit(f"the service imports what belongs to the line: {heavy}")
        answer = scored(python, args.data.resolve(), folder)
        print(f"answer: {json.dumps(answer)[:400]}")
        print(f"the line's commands: {refusal(python, args.data.resolve(), folder)}")


if __name__ == "__main__":
    main()
