"""Our storage writes what Dagster's own reads."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from returnml.pipeline.resources.dagster_storage import (
    KeptSqliteEventLogStorage,
    KeptSqliteStorage,
)


def test_the_stock_storage_reads_the_same_events(tmp_path):
    @dg.asset
    def one() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"rows": 3})

    overrides = {
        "storage": {
            "custom": {
                "module": "returnml.pipeline.resources.dagster_storage",
                "class": "KeptSqliteStorage",
                "config": {"base_dir": str(tmp_path / "storage")},
            }
        }
    }
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides=overrides) as instance:
        assert isinstance(instance.event_log_storage, KeptSqliteEventLogStorage)
        run_id = dg.materialize([one], instance=instance).run_id
        ours = list(instance.event_log_storage.get_logs_for_run(run_id))
    stock = SqliteEventLogStorage(str(tmp_path / "storage" / "history" / "runs"))
    assert list(stock.get_logs_for_run(run_id)) == ours
    assert stock.has_asset_key(dg.AssetKey("one"))


@pytest.mark.parametrize("name", ["50%41 off", "a #1", "straße?x=1", "[x] {y}", "o'k & co"])
def test_any_folder_name_is_taken_as_it_is(tmp_path: Path, name: str):
    root = tmp_path / name
    storage = KeptSqliteStorage(str(root))
    storage.event_log_storage.get_event_records(dg.EventRecordsFilter(dg.DagsterEventType.ASSET_MATERIALIZATION), limit=1)
    assert storage.run_storage.get_runs_count() == 0
    storage.dispose()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    databases = {path.relative_to(root).as_posix() for path in root.rglob("*.db")}
    assert databases == {"history/runs.db", "history/runs/index.db", "schedules/schedules.db"}
