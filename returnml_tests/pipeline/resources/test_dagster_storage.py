"""Our storage writes what Dagster's own reads."""

import dagster as dg
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from returnml.pipeline.resources.dagster_storage import KeptSqliteEventLogStorage


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
