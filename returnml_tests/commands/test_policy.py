"""``returnml policy``."""

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml.policy.document import Policy
from returnml.settings import DataPaths
from returnml.warehouse.partition import open_warehouse
from returnml_tests.roots import rooted

RESTRICTS = '[rule]\nkind = "thresholds"\nrestrict = 0.5\n'


def run(*arguments: object):
    return CliRunner().invoke(app, ["policy", *map(str, arguments)])


@pytest.fixture
def new(tmp_path: Path) -> Path:
    file = tmp_path / "new.toml"
    file.write_text(RESTRICTS)
    return file


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two lines on a day, one of them risky and come back."""
    con = open_warehouse(DataPaths(rooted(tmp_path / "data")).warehouse)
    con.execute(
        "CREATE SCHEMA scores; CREATE SCHEMA core;"
        "CREATE TABLE core.orders AS SELECT unnest(['l1', 'l2']) AS line_id, 'DE' AS country, 'shirts' AS product_group;"
        "CREATE TABLE core.outcomes AS SELECT 'l1' AS line_id, 1::TINYINT AS returned;"
        "CREATE TABLE scores.daily AS SELECT false AS in_training, "
        "DATE '2024-01-01' AS day, unnest(['l1', 'l2']) AS line_id, 'o1' AS order_id, "
        "unnest([0.75, 0.25])::FLOAT AS probability, 10000::BIGINT AS line_value_cents, 'EUR' AS currency, 'x' AS policy_hash"
    )
    con.close()
    return tmp_path / "data"


def test_show_prints_a_policy_with_its_defaults(new: Path):
    shown = run("show", new)
    assert shown.exit_code == 0
    assert msgspec.json.decode(shown.stdout, type=Policy) == msgspec.convert(
        {"rule": {"kind": "thresholds", "restrict": 0.5}}, Policy
    )
    assert msgspec.json.decode(run("show").stdout, type=Policy) == Policy()


def test_check_names_the_field(new: Path):
    assert run("check", new).exit_code == 0
    new.write_text("[costs]\nfreight = 1\n")
    for command in ("check", "show", "replay"):
        refused = run(command, new)
        assert refused.exit_code == 2
        assert "new.toml" in refused.stderr
        assert "unknown field `freight`" in refused.stderr


def test_replay_compares_and_writes_a_report(new: Path, data: Path):
    answered = run("replay", new, "--data", data, "--json")
    assert answered.exit_code == 0, answered.output
    found = json.loads(answered.stdout)
    assert (found["total"]["lines"], found["total"]["changed"]) == (2, 2)
    assert [(t["before"], t["after"], t["lines"], t["returned"]) for t in found["transitions"]] == [
        ("nudge", "allow", 1, None),
        ("review", "restrict", 1, 1.0),
    ]
    report = Path(found["report"])
    assert b"<h1>Policy" in report.read_bytes()
    assert {p.name for p in report.parent.glob("*.png")} == {"actions.png", "transitions.png", "differences.png"}
    text = run("replay", new, "--data", data).stdout
    assert "2 lines scored from 2024-01-01 to 2024-01-01" in text
    assert "review   to restrict" in text


def test_replay_without_scores_says_what_to_do(new: Path, tmp_path: Path):
    refused = run("replay", new, "--data", rooted(tmp_path / "empty"))
    assert (refused.exit_code, "returnml run makes it" in refused.stderr) == (2, True)
    open_warehouse(DataPaths(tmp_path / "empty").warehouse).close()
    refused = run("replay", new, "--data", tmp_path / "empty")
    assert (refused.exit_code, "score some first" in refused.stderr) == (2, True)


def test_a_policy_of_a_task_that_there_is_not_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It would decide nothing."""
    (tmp_path / "returnml.toml").write_text('[tasks.return_rsk]\npolicy = "p.toml"\n')
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["policy", "show"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("refused: ")
    assert "tasks.return_rsk" in result.stderr


def test_the_current_policy_is_the_one_that_decides_about_order_lines(
    new: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "returnml.toml").write_text(f'[tasks.return_risk]\npolicy = "{new}"\n')
    monkeypatch.chdir(tmp_path)
    assert msgspec.json.decode(run("show").stdout, type=Policy) == msgspec.json.decode(run("show", new).stdout, type=Policy)
    assert json.loads(run("replay", new, "--data", data, "--json").stdout)["total"]["changed"] == 0
