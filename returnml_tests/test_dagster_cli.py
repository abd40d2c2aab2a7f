"""The ``dagster`` command as CI runs it: processes, exit codes, written rows. The data root has an awkward name, and moves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from returnml.clock import VirtualClock
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import (
    Plan,
    Scenario,
)
from returnml.warehouse.partition import open_warehouse
from returnml_tests.roots import rooted

PROJECT = Path(__file__).resolve().parent.parent
FIRST, SECOND, THIRD = date(2025, 1, 1), date(2025, 1, 2), date(2025, 1, 3)
MODULE = ("-m", "returnml.definitions")
INGESTED = "key:raw_events or key:raw_orders or key:raw_returns or key:raw_inspections or key:orders"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(data=str(rooted(tmp_path_factory.mktemp("cli") / "50%41 off #1 [größe] {x} o'k")))
    simulate(Plan(FIRST, 4, 30, 5, Scenario("none"), 30), settings.paths, VirtualClock(0), AS_DELIVERED)
    settings.paths.dagster.mkdir()
    return settings


def dagster(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    """In the project's folder: its ``.env`` names home and storage, the environment only the data root."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "RETURNML_"))}
    environment = kept | {"RETURNML_DATA": str(settings.paths.root), "PWD": str(PROJECT)}
    command = [sys.executable, "-W", "ignore", "-m", "dagster", *words]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def days_of(settings: Settings, table: str, day: str = "known_day") -> dict[date, int]:
    """Rows of each day of a table, by its column ``day``."""
    with closing(open_warehouse(settings.paths.warehouse, read_only=True)) as con:
        return dict(con.execute(f"SELECT {day}, count(*) FROM {table} GROUP BY ALL ORDER BY ALL").fetchall())


def delivered(settings: Settings, day: date) -> int:
    [sidecar] = (settings.paths.landing / "orders" / day.isoformat()).glob("*.json")
    return json.loads(sidecar.read_text())["rows"]


@pytest.mark.parametrize("target", [(), ("-w", "workspace.yaml"), MODULE], ids=["default", "workspace", "module"])
def test_the_definitions_are_valid(settings: Settings, target: tuple[str, ...]):
    done = dagster(settings, "definitions", "validate", *target)
    assert done.returncode == 0, done.stderr[-3000:]


def test_definitions_that_cannot_be_loaded_are_a_failure(settings: Settings):
    assert dagster(settings, "definitions", "validate", "-m", "returnml.no_definitions").returncode != 0


def test_a_day_is_materialized(settings: Settings):
    done = dagster(settings, "asset", "materialize", *MODULE, "--select", INGESTED, "--partition", FIRST.isoformat())
    assert done.returncode == 0, done.stderr[-3000:]
    assert days_of(settings, "core.orders") == {FIRST: delivered(settings, FIRST)}


def test_a_day_that_is_none_of_the_line_is_refused(settings: Settings):
    done = dagster(settings, "asset", "materialize", *MODULE, "--select", INGESTED, "--partition", "1999-01-01")
    assert done.returncode != 0


def test_a_failed_step_is_a_failed_command(settings: Settings):
    done = dagster(settings, "asset", "materialize", *MODULE, "--select", "key:drift", "--partition", FIRST.isoformat())
    assert done.returncode != 0
    assert "nothing is deployed: run training_job once" in done.stdout + done.stderr


def test_the_daily_job_is_executed_for_a_range_of_days(settings: Settings):
    days = {"dagster/asset_partition_range_start": FIRST.isoformat(), "dagster/asset_partition_range_end": SECOND.isoformat()}
    done = dagster(settings, "job", "execute", *MODULE, "-j", "daily_job", "--tags", json.dumps(days))
    assert done.returncode == 0, done.stderr[-3000:]
    for table in ("raw.orders", "core.orders"):
        assert days_of(settings, table) == {day: delivered(settings, day) for day in (FIRST, SECOND)}
    assert days_of(settings, "features.order_lines", "day") == days_of(settings, "core.orders")
    assert not settings.paths.published.exists()  # no release decides yet: what rests on one is skipped, and that is no failure


def test_a_copied_root_goes_on_without_the_original(settings: Settings, tmp_path: Path):
    """And nothing is made beside either of them."""
    before = settings.paths.root
    assert [path.name for path in before.parent.iterdir()] == [before.name]
    copy = Settings(data=str(tmp_path / "copy of 50%41"))
    shutil.copytree(before, copy.paths.root)
    away = before.rename(before.with_name("away"))
    try:
        done = dagster(copy, "asset", "materialize", *MODULE, "--select", INGESTED, "--partition", THIRD.isoformat())
        assert done.returncode == 0, done.stderr[-3000:]
        assert set(days_of(copy, "core.orders")) == {FIRST, SECOND, THIRD}
        assert not before.exists()
        assert [path.name for path in tmp_path.iterdir()] == [copy.paths.root.name]
    finally:
        away.rename(before)
    assert set(days_of(settings, "core.orders")) == {FIRST, SECOND}
