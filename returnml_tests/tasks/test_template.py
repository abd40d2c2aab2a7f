"""The template is a task: put into a package it is found, trained, judged, described, scored and has its assets."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import msgspec
import pytest

import returnml.tasks
from returnml.modeling.fit.variants import VARIANTS
from returnml.modeling.making.candidate import (
    CARD_FILE,
    train_release,
)
from returnml.modeling.making.release_rebuilding import rebuild
from returnml.pipeline.assets import (
    scores,
    training,
    tuning_assets,
    variant_assets,
)
from returnml.settings import DataPaths, TaskSettings
from returnml.tasks.declaration import Task
from returnml.tasks.policies import policy_of
from returnml.tasks.registry import tasks_of
from returnml.warehouse.scores.daily_scores import build_scores
from returnml.warehouse.training.training_rows import build_snapshot
from returnml_tests.modeling.shop import FEATURE_SET, SETTINGS, START, order_lines, warehouse

TEMPLATE = Path(returnml.tasks.__file__).with_name("template.py.txt")
DAYS = 60


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Task]:
    """The template's task, as a file of its own in a package of its own."""
    package = tmp_path / "shops_own_tasks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "quick_return.py").write_text(TEMPLATE.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    found = tasks_of(importlib.import_module("shops_own_tasks"))
    assert list(found) == ["quick_return"]
    yield found["quick_return"]
    for name in [n for n in sys.modules if n.partition(".")[0] == "shops_own_tasks"]:
        del sys.modules[name]


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return warehouse(order_lines(days=DAYS))


def test_its_labels_are_of_its_own_window(task: Task, con, tmp_path: Path):
    """The made-up shop's goods come back after 2 to 18 days."""
    cut_off = START + timedelta(days=40)
    table = build_snapshot(con, replace(task, feature_set=FEATURE_SET), cut_off, tmp_path, SETTINGS.label).table()
    known = con.execute(
        "SELECT line_id, coalesce(r.returned_at <= o.ordered_at + INTERVAL 14 DAY, false)::INT FROM core.orders o "
        "LEFT JOIN core.returns r USING (line_id) WHERE o.ordered_at + INTERVAL 17 DAY <= ?",
        [cut_off],
    ).fetchall()
    assert dict(zip(table["row_id"], table["label"], strict=True)) == dict(known)
    assert 0 < table["label"].sum() < con.execute("SELECT count(*) FROM core.returns").fetchall()[0][0]


def test_it_is_trained_judged_described_and_scored(task: Task, con, tmp_path: Path):
    toy = replace(task, feature_set=FEATURE_SET)
    paths = DataPaths(tmp_path)
    snapshot = build_snapshot(con, toy, START + timedelta(days=DAYS + 17), paths.training, SETTINGS.label)
    own = msgspec.structs.replace(SETTINGS, tasks={"quick_return": TaskSettings(training={"rounds": 20})})
    candidate = train_release(snapshot, toy, own, paths.releases)
    manifest = candidate.release.manifest
    assert (manifest.task, manifest.label, manifest.parameters["rounds"]) == (
        "quick_return",
        {"window_days": 14, "grace_days": 3},
        20,
    )
    assert candidate.release.version.startswith("quick_return-")
    assert candidate.evaluation.maturity.days == 17
    assert candidate.evaluation.figures["auc"] > 0.6
    assert rebuild(candidate.release, toy, paths) == []
    card = candidate.release.read(CARD_FILE).decode()
    assert card.startswith("# Model card: quick_return")
    assert "Will any piece of this order line come back within 14 days?" in card
    assert "came back quickly" in card
    day = date(2024, 1, 20)
    report = build_scores(con, toy, candidate.release.path, day, day, policy_of(toy, own))
    rows = con.execute("SELECT count(*), min(action), max(action), min(probability) FROM scores.quick_returns").fetchall()[0]
    assert rows[:3] == (report.rows, "allow", "allow")
    assert rows[3] > 0
    assert list(toy.score_table_columns()) == [row[0] for row in con.execute("DESCRIBE scores.quick_returns").fetchall()]


def test_its_assets_are_made(task: Task):
    made = [
        training.build_training_set(task),
        tuning_assets.build_best_parameters(task),
        *(variant_assets.build_variant(task, variant) for variant in VARIANTS),
        variant_assets.build_leaderboard(task),
        training.build_candidate_model(task),
        training.build_evaluation(task),
        training.build_release(task),
        scores.build_scores_asset(task),
    ]
    *own, scored = [asset.key for asset in made]
    assert {key.path[0] for key in own} == {"quick_return"}
    assert scored == dg.AssetKey("scores_quick_returns")
    nothing = dg.ResourceDefinition.none_resource()
    resources = dict.fromkeys(("warehouse", "settings", "clock", "mlflow"), nothing)
    dg.Definitions.validate_loadable(dg.Definitions(made, resources=resources))
