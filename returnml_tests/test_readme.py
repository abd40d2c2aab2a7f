"""Every command of the README runs: those of make are expanded, those of returnml run on a shop of their own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from returnml_tests.pipeline.assets.shop import SMALL

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = [
    line.strip()
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def test_the_readme_has_commands():
    assert "make demo" in COMMANDS
    assert "returnml run" in COMMANDS


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_commands_exist(command: str):
    subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


def test_returnml_commands_run_one_after_the_other(tmp_path):
    environment = os.environ | SMALL | {"RETURNML_DATA": str(tmp_path / "data")}
    for command in (c for c in COMMANDS if c.startswith("returnml ")):
        words = command.split()[1:]
        smaller = ["--lines-per-day", "100"] if words[0] == "simulate" else []
        done = subprocess.run(
            [sys.executable, "-m", "returnml.cli", *words, *smaller], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.strip(), command
