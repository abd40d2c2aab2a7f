"""The whole line through Dagster on a small shop."""

import os
from collections.abc import Iterator

import dagster as dg
import pytest

from returnml.commands.line import LineRun, bury_killed_runs, run_job
from returnml.release.deployment import read_state
from returnml.settings import Settings
from returnml.store.manifest import read_pointer
from returnml.warehouse.partition import open_warehouse
from returnml_tests.assets.shop import LAST, content, open_shop, run_line
from returnml_tests.drills.habits import habits, sampling_is_named


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> Iterator[tuple[Settings, LineRun]]:
    settings = open_shop(tmp_path_factory.mktemp("line"))
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


def _empty_job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def empty() -> None:
        nothing()

    return empty
