"""The asset graph as data: everything that the UI shows is there and fits together."""

import os
import subprocess
import sys

import dagster as dg
import pytest

from returnml.definitions import defs
from returnml.modeling.fit.variants import VARIANTS
from returnml.pipeline.assets.line_asset import OWNERS
from returnml.pipeline.assets.task_names import (
    keys_of,
    scores_of,
)
from returnml.pipeline.location import build_assets, build_defs
from returnml.pipeline.resources.step_processes import AT_ONCE_TAG
from returnml.pipeline.resources.warehouse_resource import POOL
from returnml.settings import Settings, SettingsError, TaskSettings, VariantSettings
from returnml.tasks.live_sets import TILE_GROUPS
from returnml.tasks.registry import tasks
from returnml_tests.roots import rooted

ASSETS = build_assets(())
SPECS = {spec.key.to_user_string(): spec for asset in ASSETS for spec in asset.specs}


def test_the_definitions_load():
    dg.Definitions.validate_loadable(defs)


def test_the_line_has_all_its_assets():
    tiles = {f"tiles_{group.name}" for group in TILE_GROUPS if group.is_tiled}
    trained = {
        *("training_set", "best_parameters", "leaderboard", "candidate_model", "evaluation", "release"),
        *(f"variant_{variant.name}" for variant in VARIANTS),
    }
    of_tasks = {"/".join([*task.asset_prefix, part]) for task in tasks().values() for part in trained}
    scores = {key.to_user_string() for task in tasks().values() for key in scores_of(task)}
    assert scores >= {"scores_daily", "scores_reasons", "scores_customers", "scores_returns"}
    assert set(SPECS) == tiles | of_tasks | scores | {
        *("raw_events", "raw_orders", "raw_returns", "raw_inspections", "orders", "returns", "inspections", "outcomes"),
        *("features_order_line", "features_customer", "features_return"),
        *("inference_log", "moments", "consistency"),
        *("online_generation", "drift", "published_copy"),
        *("return_rates", "returns_forecast"),
    }


@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_asset_is_described(name: str):
    spec = SPECS[name]
    assert spec.description
    assert spec.group_name
    assert list(spec.owners) == OWNERS
    assert spec.kinds


@pytest.mark.parametrize("name", sorted(SPECS))
def test_lineage_names_columns_that_the_upstream_asset_has(name: str):
    lineage = SPECS[name].metadata.get("dagster/column_lineage")
    upstream = {dep.asset_key.to_user_string() for dep in SPECS[name].deps}
    for column, deps in lineage.deps_by_column.items() if lineage else ():
        for dep in deps:
            asset = dep.asset_key.to_user_string()
            schema = SPECS[asset].metadata["dagster/column_schema"]
            assert asset in upstream, f"{name}.{column} <- {asset}"
            assert dep.column_name in {c.name for c in schema.columns}, f"{name}.{column} <- {asset}.{dep.column_name}"


def test_what_touches_the_warehouse_is_in_its_pool():
    trained = {
        "best_parameters",
        "candidate_model",
        "evaluation",
        "release",
        *(f"variant_{variant.name}" for variant in VARIANTS),
    }
    for asset in ASSETS:
        name = asset.key.to_user_string()
        assert asset.op.pool == (None if asset.key.path[-1] in trained else POOL), name


def test_no_run_goes_on_after_a_broken_contract():
    blocking = {spec.asset_key.to_user_string() for asset in ASSETS for spec in asset.check_specs if spec.blocking}
    assert blocking >= {
        "orders",
        "returns",
        "inspections",
        "outcomes",
        "features_order_line",
        "features_customer",
        "features_return",
        "training_set",
    }


def test_what_may_be_skipped_has_no_blocking_checks():
    """Dagster warns of every blocking check of a skipped step; these fail by themselves (``stop_on_error``)."""
    skippable = {asset.key for asset in ASSETS if not asset.op.output_def_named("result").is_required}
    assert {key.to_user_string() for key in skippable} >= {"release", "leaderboard", "scores_daily"}
    while more := {s.key for s in SPECS.values() if {d.asset_key for d in s.deps} & skippable} - skippable:
        skippable |= more
    first = {keys_of(task).training_set for task in tasks().values()}
    blocking = {spec.asset_key for asset in ASSETS for spec in asset.check_specs if spec.blocking}
    assert {key.to_user_string() for key in blocking & (skippable - first)} == set()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(variants=VariantSettings(names=("deep",))), "no variant 'deep'"),
        (Settings(variants=VariantSettings(names=("logistic",))), "leaves nothing that could be released"),
        (Settings(tasks={"return_rsk": TaskSettings()}), "tasks.return_rsk"),
    ],
)
def test_settings_of_what_there_is_not_are_refused_before_anything_runs(settings: Settings, said: str):
    with pytest.raises(SettingsError, match=said):
        build_defs(settings)


def test_resources_can_be_overridden():
    assert build_defs(resource_overrides={"clock": "a clock"}).resources["clock"] == "a clock"


def test_two_locations_of_different_settings_in_one_process(tmp_path, monkeypatch):
    """What the environment says is none of their business."""
    monkeypatch.setenv("RETURNML_FIRST_DAY", "2019-01-01")
    monkeypatch.setenv("RETURNML_VARIANTS__PARALLEL", "7")
    said = {"2024-02-01": 2, "2025-06-01": 5}
    built = {
        day: build_defs(Settings(data=str(tmp_path / day), first_day=day, variants=VariantSettings(parallel=at_once)))
        for day, at_once in said.items()
    }
    for day, at_once in said.items():
        defs = built[day]
        dg.Definitions.validate_loadable(defs)
        for job in ("daily_job", "whole_line"):
            partitions = defs.resolve_job_def(job).partitions_def
            assert isinstance(partitions, dg.DailyPartitionsDefinition)
            assert partitions.get_first_partition_key() == day
        graph = defs.resolve_asset_graph()
        cut = {key.to_user_string() for key in graph.get_all_asset_keys() if graph.get(key).partitions_def is not None}
        assert cut >= {"raw_orders", "orders", "scores_daily", "drift"}
        assert cut.isdisjoint({"features_customer", "training_set", "online_generation"})
        assert {graph.get(dg.AssetKey(name)).partitions_def.get_first_partition_key() for name in cut} == {day}
        assert defs.resolve_job_def("training_job").tags[AT_ONCE_TAG] == str(at_once)
        assert defs.resources["warehouse"].database == str(tmp_path / day / "warehouse" / "returnml.duckdb")
        rooted(tmp_path / day)
        with dg.build_resources({"settings": defs.resources["settings"]}) as given:
            assert given.settings.first_day == day


def test_what_builds_a_location_reads_no_environment_when_imported():
    code = "import returnml.pipeline.location, returnml.pipeline.sensors, returnml.commands.line; print('imported')"
    broken = os.environ | {"RETURNML_TRAINING__SEED": "no number"}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=broken, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "imported"), done.stderr
