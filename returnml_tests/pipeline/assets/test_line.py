"""The whole line through Dagster on a small shop, whose data root has an awkward name."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import dagster as dg
import msgspec
import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml.commands.line import LineRun, bury_killed_runs, run_job
from returnml.modeling.training.tuning import read_best
from returnml.pipeline.assets.task_names import keys_of
from returnml.pipeline.checks.serving_checks import scores_results
from returnml.release.deployment import read_state
from returnml.release.folder import load_release
from returnml.settings import Settings, TuningSettings
from returnml.store.generation_manifest import read_pointer
from returnml.tasks.declared import return_abuse
from returnml.tasks.policies import policy_of
from returnml.tasks.spines import INSPECTABLE
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.scores.daily_scores import build_scores
from returnml_tests.drills.habits import habits, sampling_is_named
from returnml_tests.pipeline.assets.shop import (
    LAST,
    SMALL,
    START,
    content,
    open_shop,
    run_line,
)


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> Iterator[tuple[Settings, LineRun]]:
    settings = open_shop(tmp_path_factory.mktemp("line") / "50%41 off #1 [größe] {x} o'k")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        patch.setenv("DAGSTER_STORAGE", "")
        yield settings, run_line(settings)


def test_the_line_runs_from_landing_files_to_scores(line):
    settings, done = line
    assert done.failures == []
    assert done.success
    con = open_warehouse(settings.paths.published, read_only=True)
    lines, scores = con.execute("SELECT (SELECT count(*) FROM core.orders), (SELECT count(*) FROM scores.daily)").fetchall()[0]
    con.close()
    assert lines == scores > 5_000


def test_the_first_release_decides_and_is_what_scored(line):
    settings, _ = line
    champion = read_state(settings.paths.deployment_state("return_risk")).champion
    con = open_warehouse(settings.paths.published, read_only=True)
    scored_by = con.execute("SELECT DISTINCT release FROM scores.daily").fetchall()
    con.close()
    assert scored_by == [(champion,)]
    assert len(read_pointer(settings.paths.store).generations) == 1


def test_the_reasons_of_size_samplers_name_their_habit(line):
    """Planted abusers show theirs in a longer history than this shop's: ``returnml_tests.drills.habits``."""
    settings, _ = line
    found = habits(settings.paths)
    assert found["sampling"]["lines"] > 100
    assert sampling_is_named(found), found


def test_too_little_abuse_is_no_release_and_no_failure(line):
    settings, done = line
    assert read_state(settings.paths.deployment_state(return_abuse.TASK.name)).champion is None
    assert "return_abuse/evaluation: enough_evidence" in done.failed_checks
    con = open_warehouse(settings.paths.published, read_only=True)
    written, asked = con.execute(
        f"SELECT (SELECT count(*) FROM features.returns), (SELECT count(*) FROM {INSPECTABLE} r)"
    ).fetchall()[0]
    con.close()
    assert written == asked > 1_500


def test_a_release_of_another_task_scores_its_rows(line, tmp_path):
    """By a candidate that evidence refused: what is held here is the way from a release to the task's own table."""
    settings, _ = line
    task = return_abuse.TASK
    [candidate] = settings.paths.releases.glob(f"{task.name}-*")
    card = (candidate / "model_card.md").read_text()
    assert task.question in card
    assert "were found to be abuse" in card
    assert "came back" not in card
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(settings.paths.published.read_bytes())
    with open_warehouse(copy) as con:
        report = build_scores(con, task, candidate, LAST - timedelta(days=6), LAST, policy_of(task, settings))
        checked = scores_results(keys_of(task).scores, con, task, LAST - timedelta(days=6), LAST)
        reviewed, least = con.execute(
            "SELECT count(*), min(expected_cost_cents) FROM scores.returns WHERE action = 'review'"
        ).fetchall()[0]
        cost_is_loss = con.execute(
            "SELECT bool_and(abs(expected_cost_cents - probability::DOUBLE * refund_cents) <= 0.5 + 1e-6) FROM scores.returns"
        ).fetchall()
    assert report.rows > 150
    assert all(result.passed for result in checked)
    assert 0 < reviewed < report.rows
    assert least >= 375  # a look costs 300 and finds four in five
    assert cost_is_loss == [(True,)]


def test_running_a_day_again_changes_no_table(line):
    settings, _ = line
    before = content(settings)
    done = run_job(settings, "daily_job", LAST, LAST, is_quiet=True)
    assert done.success
    assert content(settings) == before


def test_a_run_whose_process_is_gone_gives_its_slots_back(line):
    _settings, _ = line
    with dg.DagsterInstance.get() as instance:
        host = os.uname().nodename
        run = instance.create_run_for_job(
            job_def=_empty_job(), status=dg.DagsterRunStatus.STARTED, tags={"returnml/pid": f"{host}:{2**22 + 1}"}
        )
        assert bury_killed_runs(instance) == [run.run_id]
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
        assert bury_killed_runs(instance) == []


def test_the_leaderboard_holds_what_was_trained_and_names_what_decides(line):
    settings, _ = line
    with closing(open_warehouse(settings.paths.warehouse, read_only=True)) as con:
        sql = "SELECT DISTINCT variant, is_chosen, is_baseline FROM training.leaderboard WHERE task = 'return_risk' ORDER BY ALL"
        standings = con.execute(sql).fetchall()
    assert [name for name, _, _ in standings] == ["logistic", "plain", "regularised"]
    (chosen,) = [name for name, is_chosen, is_baseline in standings if is_chosen and not is_baseline]
    champion = read_state(settings.paths.deployment_state("return_risk")).champion
    assert load_release(settings.paths.releases / champion).manifest.parameters["variant"] == chosen


def test_tuning_says_what_history_it_lacks(line, monkeypatch):
    settings, _ = line
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    refused = CliRunner().invoke(app, ["tune", "--task", "customer_risk", "--json", "--data", settings.data])
    assert refused.exit_code == 2
    assert json.loads(refused.stderr)["error"].startswith("customer_risk: ")
    assert "are needed" in refused.stderr


def test_tuned_parameters_are_taken_by_the_next_training_and_a_task_without_says_so(line, tmp_path):
    """In a copy of the data root, while the original is away: what is written must be written to the copy."""
    original, _ = line
    settings = msgspec.structs.replace(original, data=str(tmp_path / "copy"))
    shutil.copytree(original.paths.root, settings.paths.root)
    away = original.paths.root.rename(tmp_path / "away")
    try:
        _tune_and_train(settings)
        assert not original.paths.root.exists()
        assert [path.name for path in original.paths.root.parent.iterdir()] == []
    finally:
        away.rename(original.paths.root)


def _tune_and_train(settings: Settings) -> None:
    tuning = TuningSettings(trials=2, max_rounds=20)
    training = msgspec.structs.replace(settings.training, parameters="tuned")
    settings = msgspec.structs.replace(settings, tuning=tuning, training=training)
    before = set(settings.paths.releases.iterdir())
    artifacts = set((settings.paths.mlflow / "artifacts").rglob("model_card.md"))
    assert run_job(settings, "tune_return_risk", START, LAST, is_quiet=True).success
    best = read_best(settings.paths.tuning / "return_risk")
    done = run_job(settings, "training_job", START, LAST, is_quiet=True)
    assert done.success
    assert [check for check in done.failed_checks if check.endswith("parameters_as_asked")] == [
        "return_abuse/leaderboard: parameters_as_asked"
    ]
    assert "are needed" in done.notes["customer_risk/leaderboard"]
    made = [load_release(path).manifest for path in set(settings.paths.releases.iterdir()) - before]
    (parameters,) = [manifest.parameters for manifest in made if manifest.task == "return_risk"]
    assert (parameters["study"], parameters["trial"]) == (best.study, best.trial)
    assert parameters["learning_rate"] == best.parameters["learning_rate"]
    (untuned,) = [manifest for manifest in made if manifest.task == "return_abuse"]
    assert untuned.parameters["lacks_study"]
    [card] = [path / "model_card.md" for path in set(settings.paths.releases.iterdir()) - before if "abuse" in path.name]
    assert "declared, as the task was not tuned yet" in card.read_text()
    cards = {path.read_bytes() for path in set((settings.paths.mlflow / "artifacts").rglob("model_card.md")) - artifacts}
    assert {(path / "model_card.md").read_bytes() for path in set(settings.paths.releases.iterdir()) - before} <= cards


def _empty_job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def empty() -> None:
        nothing()

    return empty
