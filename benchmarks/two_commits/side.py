"""One of the two: its code, its environment, and the process that times a part of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.two_commits import parts
from returnml_tests.drills.upgrade import PROJECT

LOCK = "requirements.lock"
_PIN = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class Side:
    """A commit's files and the interpreter that runs them."""

    name: str
    code: Path
    python: Path


def pins(code: Path) -> dict[str, str]:
    """The locked version of every package."""
    return dict(_PIN.findall((code / LOCK).read_text()))


def other_pins(code: Path) -> list[str]:
    """What the lock of other code asks for and this code's does not, as ``name==version``."""
    own = pins(PROJECT)
    return [f"{name}=={version}" for name, version in pins(code).items() if own.get(name) != version]


def python_of(code: Path, folder: Path) -> Path:
    """The running interpreter where the locks agree; else one of an environment that has the other versions above its own."""
    others = other_pins(code)
    if not others:
        return Path(sys.executable)
    print(f"installing for it: {', '.join(others)}", flush=True)
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *others], check=True)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (own / "beside.pth").write_text(
        "".join(f"import site; site.addsitedir({p!r})\n" for p in sys.path if p.endswith("site-packages"))
    )
    return python


class Timed:
    """A part of one side, prepared, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], name: str, log: Path) -> None:
        self._process, self._name, self._log = process, name, log
        self.labels: list[str] = self._answer()

    def seconds(self, label: str) -> float:
        """One run."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{label}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return json.loads(line)
        last = "\n".join(self._log.read_text().splitlines()[-20:])
        raise SystemExit(f"{self._name} ended with {self._process.wait()}:\n{last}")


@contextmanager
def timed(side: Side, part: str, folder: Path, peers: Path) -> Iterator[Timed]:
    """A side's process of one part, ready to be asked."""
    folder.mkdir(parents=True)
    log = folder / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [side.python, "-P", parts.__file__, part, folder, peers],
            cwd=side.code,
            env=os.environ | {"PYTHONPATH": str(side.code), "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        yield Timed(process, f"{part}, {side.name}", log)
        process.communicate()
