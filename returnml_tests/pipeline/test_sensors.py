"""When drift retrains."""

from collections.abc import Iterator

import dagster as dg
import pytest

from returnml.clock import VirtualClock
from returnml.pipeline.assets.line_asset import table_asset
from returnml.pipeline.checks import (
    DATA_QUALITY,
    result,
    spec,
)
from returnml.pipeline.location import build_assets
from returnml.pipeline.partitions import (
    daily_partitions,
    partitioned,
)
from returnml.pipeline.sensors import (
    DRIFT_CHECK,
    _launched,
    build_drift_sensor,
    decide,
    quality_checks,
)
from returnml.pipeline.verdicts import Verdict
from returnml.settings import Settings

ASSETS = build_assets(())
HOUR = 3_600_000_000
QUALITY = dg.AssetCheckKey(dg.AssetKey("orders"), "contract_holds")
DRIFTED = {DRIFT_CHECK: Verdict(False, "2025-03-16", 500)}


@pytest.mark.parametrize(
    ("verdicts", "launched", "day", "expected"),
    [
        ({}, None, None, "drift was never measured"),
        ({DRIFT_CHECK: Verdict(True, "2025-03-16", 500)}, None, None, "no drift on 2025-03-16"),
        (DRIFTED, 10, "2025-03-16", "retraining was launched for the drift of 2025-03-16 already"),
        (DRIFTED, 10, "2025-03-17", "retraining was launched for the drift of 2025-03-17 already"),
        (
            DRIFTED | {QUALITY: Verdict(False, "2025-03-17", 400)},
            None,
            None,
            "drift, but the data cannot be trusted: orders:contract_holds of 2025-03-17 failed",
        ),
        (DRIFTED, 90 * HOUR, "2025-03-15", "drift, but retraining was launched lately: 14.0 hours of cool-down left"),
    ],
)
def test_reasons_not_to_retrain(verdicts, launched, day, expected):
    skipped = decide(verdicts, launched, day, 100 * HOUR, 24 * HOUR)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == expected


@pytest.mark.parametrize(("launched", "day"), [(None, None), (76 * HOUR, "2025-03-15")])
def test_new_drift_retrains_once_the_cool_down_is_over(launched, day):
    verdicts = DRIFTED | {QUALITY: Verdict(True, "2025-03-16", 400)}
    assert decide(verdicts, launched, day, 100 * HOUR, 24 * HOUR) == "drift-2025-03-16"


def test_a_cursor_from_before_it_named_days_is_read():
    assert _launched("7,500") == (7, None)
    assert _launched("7,2025-03-16") == (7, "2025-03-16")
    assert _launched(None) == (None, None)


def test_data_quality_covers_contracts_but_not_drift_or_the_model():
    keys = quality_checks(ASSETS)
    assert QUALITY in keys
    assert DRIFT_CHECK not in keys
    assert {key.asset_key.to_user_string() for key in keys}.isdisjoint({"candidate_model", "evaluation", "release", "drift"})


class Line:
    """Two assets that are cut into days and one as of a cut-off; their checks say what a test wants them to say."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.holds = {"drift": True, "orders": True, "features_customer": True}
        self.cut_off = "2025-03-10T00:00:00"
        self.settings = Settings(first_day="2025-03-01")
        names = {"drift": "not_drifted", "orders": "contract_holds", "features_customer": "one_moment"}
        self.assets = [self._asset(name, check) for name, check in names.items()]
        self.sensor = build_drift_sensor(self.assets, dg.define_asset_job("training_job", "*"))
        self.cursor: str | None = None

    def _asset(self, name: str, check: str) -> dg.AssetsDefinition:
        is_cut = name != "features_customer"
        kind = "drift" if name == "drift" else DATA_QUALITY
        specs = [spec(name, check, "", blocking=name == "orders", kind=kind)]

        @table_asset(name, table=None, group="core", deps=[], description="", is_partitioned=is_cut, checks=specs)
        def asset() -> dg.MaterializeResult:
            metadata = {} if is_cut else {"cut_off": self.cut_off}
            return dg.MaterializeResult(metadata=metadata, check_results=[result(name, check, self.holds[name])])

        return partitioned(asset, daily_partitions(self.settings))

    def run(self, first: str, last: str | None = None, **holds: bool) -> None:
        """The daily job over some days, or one; ``holds``: what the checks say then."""
        self.holds = dict.fromkeys(self.holds, True) | holds
        tags = {"dagster/partition": first}
        if last is not None:
            tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        job = dg.Definitions(assets=self.assets, jobs=[dg.define_asset_job("daily", "*")]).resolve_job_def("daily")
        job.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)

    def evaluated(self, hours: int) -> str:
        """What the sensor does so many hours after the epoch: its run key, or its reason to do nothing."""
        resources = {"settings": self.settings, "clock": VirtualClock(hours * HOUR)}
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources=resources) as context:
            done = self.sensor(context)
            self.cursor = context.cursor
        return str(done.run_key if isinstance(done, dg.RunRequest) else done.skip_message)


@pytest.fixture
def line() -> Iterator[Line]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Line(instance)


def test_a_repaired_old_day_that_drifted_launches_nothing(line: Line):
    line.run("2025-03-09", "2025-03-10")
    line.run("2025-03-04", drift=False)
    assert line.evaluated(100) == "no drift on 2025-03-10"
    line.run("2025-03-04", "2025-03-06", drift=False)
    assert line.evaluated(101) == "no drift on 2025-03-10"


def test_an_old_days_pass_hides_no_drift_of_today(line: Line):
    line.run("2025-03-10", drift=False)
    line.run("2025-03-04")
    assert line.evaluated(100) == "drift-2025-03-10"


def test_a_day_retrains_once_however_often_it_is_measured(line: Line):
    line.run("2025-03-10", drift=False)
    assert line.evaluated(100) == "drift-2025-03-10"
    line.run("2025-03-10", drift=False)
    assert line.evaluated(200) == "retraining was launched for the drift of 2025-03-10 already"
    line.run("2025-03-11", drift=False)
    assert line.evaluated(300) == "drift-2025-03-11"


def test_an_old_days_pass_hides_no_quality_that_failed_today(line: Line):
    line.run("2025-03-10", drift=False, orders=False)
    line.run("2025-03-04")
    assert line.evaluated(100) == "drift, but the data cannot be trusted: orders:contract_holds of 2025-03-10 failed"


def test_an_old_days_failed_quality_blocks_nothing_today(line: Line):
    line.run("2025-03-10", drift=False)
    line.run("2025-03-04", orders=False)
    assert line.evaluated(100) == "drift-2025-03-10"


def test_what_is_as_of_a_cut_off_is_judged_by_the_newest(line: Line):
    line.run("2025-03-10", drift=False, features_customer=False)
    line.cut_off = "2025-01-01T00:00:00"
    line.run("2025-03-10", drift=False)
    said = line.evaluated(100)
    assert said == "drift, but the data cannot be trusted: features_customer:one_moment of 2025-03-10T00:00:00 failed"
