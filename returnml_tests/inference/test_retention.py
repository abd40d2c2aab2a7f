"""Old days leave the inference log only once the warehouse has all of them, and their partitions stay."""

from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml.clock import FileClockDriver
from returnml.ledger.answer_records import (
    day_folder,
    logged_days,
    read_day,
)
from returnml.ledger.record_log import segments
from returnml.settings import DataPaths
from returnml.warehouse.answers.inference_tables import (
    LOG,
    build_inference_log,
)
from returnml.warehouse.answers.log_retention import prune_inference_log
from returnml.warehouse.partition import open_warehouse
from returnml_tests.inference.conftest import LAST, LAST_US

DAY_AFTER = LAST + timedelta(days=1)


@pytest.fixture
def con(root: Path):
    con = open_warehouse(root / "warehouse" / "returnml.duckdb", threads=1)
    yield con
    con.close()


def test_a_day_goes_once_it_is_ingested_and_its_partition_stays(root, con):
    logs = DataPaths(root).inference_log
    answered = sum(answer.lines for answer in read_day(logs, LAST))
    [kept] = prune_inference_log(con, logs, DAY_AFTER)
    assert (kept.day, kept.missing) == (LAST, answered)
    build_inference_log(con, logs, LAST, LAST)
    con.execute(f"DELETE FROM {LOG} WHERE line_number = 0 AND request_id = (SELECT min(request_id) FROM {LOG})")
    assert [day.missing for day in prune_inference_log(con, logs, DAY_AFTER)] == [1]
    before = build_inference_log(con, logs, LAST, LAST)
    assert prune_inference_log(con, logs, LAST) == []
    [gone] = prune_inference_log(con, logs, DAY_AFTER)
    assert (gone.day, gone.missing, list(read_day(logs, LAST))) == (LAST, 0, [])
    assert gone.bytes > 0
    build_inference_log(con, logs, LAST, LAST)
    assert con.execute(f"SELECT count(*) FROM {LOG}").fetchall() == [(before.rows,)] == [(answered,)]
    assert prune_inference_log(con, logs, DAY_AFTER) == []


def test_a_removal_that_was_killed_is_finished_the_next_time(root, con):
    logs = DataPaths(root).inference_log
    rows = build_inference_log(con, logs, LAST, LAST).rows
    folder = day_folder(logs, "w0", LAST)
    [file] = segments(folder)
    content = file.read_bytes()
    prune_inference_log(con, logs, DAY_AFTER)
    file.write_bytes(content[:40])
    build_inference_log(con, logs, LAST, LAST)
    assert con.execute(f"SELECT count(*) FROM {LOG}").fetchall() == [(rows,)]
    assert [(day.missing, day.bytes) for day in prune_inference_log(con, logs, DAY_AFTER)] == [(0, 40)]
    assert (segments(folder), logged_days(logs)) == ([], [LAST])


def test_the_command_keeps_as_many_days_as_it_is_told(root, monkeypatch):
    paths = DataPaths(root)
    FileClockDriver(paths.replay_clock, LAST_US + 2 * 86_400_000_000)
    monkeypatch.setenv("RETURNML_REPLAY_CLOCK", str(paths.replay_clock))

    def prune(*words: str):
        return CliRunner().invoke(app, ["logs", "prune", "--data", str(root), *words])

    assert (prune().exit_code, "nothing says how many days" in prune().output) == (2, True)
    assert "0 days before" in prune("--keep-days", "2").output
    kept = prune("--keep-days", "1")
    assert (kept.exit_code, f"kept      {LAST}" in kept.output) == (1, True)
    con = open_warehouse(paths.warehouse)
    build_inference_log(con, paths.inference_log, LAST, LAST)
    con.close()
    monkeypatch.setenv("RETURNML_SERVING__KEEP_LOG_DAYS", "1")
    gone = prune()
    assert (gone.exit_code, f"removed   {LAST}" in gone.output) == (0, True)
