"""Fresh is what holds the day that is due, whenever it was written."""

from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from returnml.clock import VirtualClock
from returnml.pipeline.assets.freshness import build_freshness
from returnml.pipeline.assets.line_asset import table_asset
from returnml.pipeline.location import build_assets, build_defs
from returnml.pipeline.partitions import (
    daily_partitions,
    is_partitioned,
    partitioned,
)
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import (
    Plan,
    Scenario,
)

ASSETS = build_assets(())
FIRST, DAYS = date(2025, 1, 1), 3
HOUR = 3_600_000_000
MIDNIGHT = (date(2025, 1, 4) - date(1970, 1, 1)).days * 24 * HOUR


@table_asset("orders", table=None, group="core", deps=[], description="")
def orders() -> dg.MaterializeResult:
    return dg.MaterializeResult()


@table_asset("release", table=None, group="core", deps=[], description="", is_partitioned=False)
def release() -> dg.MaterializeResult:
    return dg.MaterializeResult()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(data=str(tmp_path_factory.mktemp("root")))
    simulate(Plan(FIRST, DAYS, 5, 5, Scenario("none"), 30), settings.paths, VirtualClock(0), AS_DELIVERED)
    return settings


def said(settings: Settings, written: list[str], now_us: int) -> tuple[bool, dict]:
    """What the check says after these days were written, in this order."""
    days = daily_partitions(settings)
    cut = partitioned(orders, days)
    with dg.DagsterInstance.ephemeral() as instance:
        for day in written:
            dg.materialize([cut], instance=instance, partition_key=day)
        job = dg.Definitions(
            assets=[cut, release],
            asset_checks=[check := build_freshness([cut, release])],
            jobs=[dg.define_asset_job("fresh", dg.AssetSelection.checks(check))],
            resources={"settings": settings, "clock": VirtualClock(now_us)},
        ).resolve_job_def("fresh")
        [evaluation] = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert evaluation.asset_key == dg.AssetKey("orders")
    return evaluation.passed, {name: value.value for name, value in evaluation.metadata.items()}


@pytest.mark.parametrize(
    ("written", "hours", "fresh", "late"),
    [
        (["2025-01-03"], 8, True, 0),
        (["2025-01-03", "2025-01-01"], 8, True, 0),  # an old day was repaired last
        (["2025-01-02"], 6, True, 0),  # the day before yesterday is enough before seven
        (["2025-01-02"], 8, False, 1),
        (["2025-01-01"], 8, False, 2),
        (["2025-01-03"], 8 + 500 * 24, False, 500),  # written today, of data 500 days old
        (["2025-01-03", "2025-01-04"], 8 + 24, False, 1),  # written for a day of which nothing was delivered
    ],
)
def test_data_are_as_old_as_their_newest_day(settings: Settings, written, hours, fresh, late):
    passed, about = said(settings, written, MIDNIGHT + hours * HOUR)
    assert (passed, about["days_late"]) == (fresh, late)


def test_what_was_never_written_or_delivered_is_not_fresh(settings: Settings, tmp_path: Path):
    assert said(settings, [], MIDNIGHT) == (False, {"due": "2025-01-02", "data_through": "nothing"})
    empty = Settings(data=str(tmp_path), first_day="2025-01-01")
    assert said(empty, ["2025-01-03"], MIDNIGHT) == (False, {"due": "2025-01-02", "data_through": "nothing"})


def test_every_table_of_days_is_checked_by_a_job_of_its_own_and_none_passes_by_when_it_was_written():
    defs = build_defs()
    checked = {key.asset_key for key in defs.resolve_job_def("freshness_job").asset_layer.asset_graph.asset_check_keys}
    assert checked == {asset.key for asset in ASSETS if is_partitioned(asset)}
    for job in ("daily_job", "whole_line"):
        assert "data_freshness" not in {node.name for node in defs.resolve_job_def(job).graph.nodes}
    assert [spec.key for asset in ASSETS for spec in asset.specs if spec.freshness_policy is not None] == []
