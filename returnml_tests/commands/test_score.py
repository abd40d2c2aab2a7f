"""``returnml score`` writes scores.daily with the champion or a named release, and refuses with a reason."""

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import msgspec
import pytest
from typer.testing import CliRunner

from returnml.commands import evaluate
from returnml.commands.refusal import Commands
from returnml.commands.score import score
from returnml.modeling.making.candidate import train_release
from returnml.settings import DataPaths, GateSettings
from returnml.warehouse.training.training_rows import build_snapshot
from returnml_tests.modeling.shop import SETTINGS, START, TASK, order_lines, warehouse
from returnml_tests.roots import rooted
from returnml_tests.serving.shop import make_champion_of

APP = Commands()
APP.command()(score)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a warehouse and one release, not deployed."""
    root = rooted(tmp_path_factory.mktemp("data"))
    paths = DataPaths(root)
    con = warehouse(order_lines())
    snapshot = build_snapshot(con, TASK, START + timedelta(days=200), paths.training, SETTINGS.label)
    gates = GateSettings(max_gain_share=1.0)  # the small shop's lines are told apart by one feature
    train_release(snapshot, TASK, msgspec.structs.replace(SETTINGS, gates=gates), paths.releases)
    paths.warehouse.parent.mkdir()
    con.execute(f"ATTACH '{paths.warehouse}' AS file; COPY FROM DATABASE memory TO file; DETACH file")
    con.close()
    return root


def run(*arguments: str):
    return CliRunner().invoke(APP, [str(a) for a in arguments])


def test_without_a_champion_the_release_must_be_named(data: Path):
    result = run("2024-01-05", "--data", data)
    assert result.exit_code == 2
    assert "no release is deployed yet" in result.output


def test_a_range_backwards_and_an_unknown_release_are_refused(data: Path):
    assert "lies before the first" in run("2024-01-05", "2024-01-04", "--data", data).output
    assert "no readable manifest.json" in run("2024-01-05", "--release", "gone", "--data", data).output


def test_the_champion_scores_a_range(data: Path):
    paths = DataPaths(data)
    version = next(paths.releases.iterdir()).name
    make_champion_of(data, version)
    result = run("2024-01-05", "2024-01-07", "--json", "--data", data)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    with duckdb.connect(str(paths.warehouse), read_only=True) as con:
        days = con.sql("SELECT count(*), min(day)::VARCHAR, max(day)::VARCHAR, any_value(release) FROM scores.daily").fetchall()
    assert days == [(report["rows"], "2024-01-05", "2024-01-07", version)]
    assert "lines from 2024-01-05 to 2024-01-05 scored by" in run("2024-01-05", "--data", data).output


def test_days_without_vectors_are_said(data: Path):
    version = next(DataPaths(data).releases.iterdir()).name
    result = run("2031-01-05", "--release", version, "--data", data)
    assert result.exit_code == 0, result.output
    assert result.output == "no lines from 2031-01-05 to 2031-01-05 have features: nothing was scored\n"


def test_evaluate_says_which_folder_is_missing(tmp_path: Path):
    result = CliRunner().invoke(evaluate.app, ["online-retail", "--shared", str(tmp_path), "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "no daily files at" in result.output
