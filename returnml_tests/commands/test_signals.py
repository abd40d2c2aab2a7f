"""One signal ends a command, a second one ends it hard. Real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from returnml.clock import VirtualClock
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import (
    Plan,
    Scenario,
)
from returnml_tests.ports import free_port
from returnml_tests.roots import rooted
from returnml_tests.waiting import eventually

STUBBORN = """
import subprocess, sys, time
from returnml.commands.signals import ended_by_signals
with ended_by_signals(grace_seconds=float(sys.argv[1])):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    print(child.pid, flush=True)
    while True:
        try:
            time.sleep(3600)
        except SystemExit:
            print("not yet", flush=True)
"""


def _stubborn(grace_seconds: float) -> tuple[subprocess.Popen, int]:
    """A command that ignores the first signal, and its child's process id."""
    process = subprocess.Popen([sys.executable, "-c", STUBBORN, str(grace_seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def _is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_hard_and_leaves_no_child(number):
    process, child = _stubborn(3600)
    process.send_signal(number)
    assert process.stdout.readline() == "not yet\n"
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait() == 128 + number
    eventually(lambda: not _is_running(child))


def test_what_does_not_end_in_time_is_ended():
    process, child = _stubborn(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    eventually(lambda: not _is_running(child))


def _shop(root: Path) -> Settings:
    settings = Settings(data=str(rooted(root)))
    simulate(Plan(date(2025, 1, 1), 40, 40, 5, Scenario("none"), 30), settings.paths, VirtualClock(0), AS_DELIVERED)
    return settings


def _start(*words: str, root: Path) -> subprocess.Popen:
    with open(root.parent / f"{root.name}.txt", "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "returnml.cli", *words, "--data", str(root)],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _left_of(root: Path) -> list[str]:
    """Processes that were started for a data root."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if str(root).encode() in environment + command and int(folder.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode())
    return found


def _runs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[tuple[dg.DagsterRunStatus, set[str]]]:
    """Status of every recorded run, and the kinds of its events."""
    monkeypatch.setenv("DAGSTER_STORAGE", str(settings.paths.dagster))
    home = Path(__file__).parents[2]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return [
            (run.status, {e.dagster_event.event_type_value for e in instance.all_logs(run.run_id) if e.dagster_event is not None})
            for run in instance.get_runs()
        ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "number"),
    [
        (("backfill", "--from", "2025-01-01", "--to", "2025-02-09"), signal.SIGTERM),
        (("run",), signal.SIGINT),
        (("tune",), signal.SIGTERM),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value.name,
)
def test_a_signal_in_a_step_ends_the_run(words, number, tmp_path, monkeypatch):
    settings = _shop(tmp_path / "root")
    process = _start(*words, root=settings.paths.root)
    eventually(lambda: settings.paths.warehouse.exists() or process.poll() is not None)
    process.send_signal(number)
    assert process.wait() == 128 + number, (tmp_path / "root.txt").read_text()
    eventually(lambda: not _left_of(settings.paths.root))
    [(status, events)] = _runs(settings, monkeypatch)
    assert status is dg.DagsterRunStatus.FAILURE
    assert events.isdisjoint({"STEP_UP_FOR_RETRY", "STEP_RESTARTED"})
    again = _start("backfill", "--from", "2025-01-01", "--to", "2025-01-02", root=settings.paths.root)
    assert again.wait() == 0, (tmp_path / "root.txt").read_text()


@pytest.mark.slow
def test_a_signal_ends_the_demo(tmp_path):
    root = tmp_path / "root"
    process = _start("demo", "--days", "40", "--lines-per-day", "40", root=root)
    eventually(lambda: Settings(data=str(root)).paths.warehouse.exists() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130, (tmp_path / "root.txt").read_text()
    eventually(lambda: not _left_of(root))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dev_ends_and_leaves_nothing_running(number, tmp_path):
    root, port = rooted(tmp_path / "root"), free_port()
    process = _start("dev", "--port", str(port), root=root)
    eventually(lambda: process.poll() is not None or _answers(f"http://127.0.0.1:{port}/server_info"))
    assert len(_left_of(root)) > 2
    process.send_signal(number)
    assert process.wait() == 128 + number, (tmp_path / "root.txt").read_text()
    eventually(lambda: not _left_of(root))


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
