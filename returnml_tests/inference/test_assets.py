"""The assets of the log and the proof, through Dagster."""

from pathlib import Path

import dagster as dg
import pytest

from returnml.features.sets.order_line import ORDER_LINE
from returnml.pipeline.assets.features import build_features_order_line
from returnml.pipeline.assets.inference import (
    build_consistency_asset,
    inference_log,
    moments,
)
from returnml.pipeline.partitions import daily_partitions, partitioned
from returnml.pipeline.resources.warehouse_resource import warehouse_resource
from returnml.settings import Settings
from returnml.warehouse.partition import open_warehouse
from returnml_tests.inference.conftest import LAST, Scored


def materialize(root: Path, *assets: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    settings = Settings(data=str(root))
    resources = {"settings": settings, "warehouse": warehouse_resource(settings)}
    days = daily_partitions(settings)
    cut = [partitioned(asset, days) for asset in assets]
    return dg.materialize(cut, partition_key=LAST.isoformat(), resources=resources, raise_on_error=False)


def verdict(result: dg.ExecuteInProcessResult, asset: str, check: str) -> dg.AssetCheckEvaluation:
    [found] = [e for e in result.get_asset_check_evaluations() if (e.asset_key.to_user_string(), e.check_name) == (asset, check)]
    return found


@pytest.fixture
def done(root: Path) -> dg.ExecuteInProcessResult:
    return materialize(root, inference_log, moments, build_features_order_line(()), build_consistency_asset(()))


def test_the_day_is_ingested_linked_and_proved(scored: Scored, root: Path, done: dg.ExecuteInProcessResult):
    assert done.success
    lines = sum(len(a["lines"]) for a in scored.answers.values())
    checked = verdict(done, "consistency", "bit_identical")
    assert checked.passed
    assert checked.metadata["vectors"].value == checked.metadata["identical"].value == lines
    assert verdict(done, "inference_log", "no_future").passed
    con = open_warehouse(root / "warehouse" / "returnml.duckdb", read_only=True)
    [(linked, rates)] = con.execute(
        "SELECT (SELECT count(*) FROM features.order_lines f JOIN serving.moments m ON m.line_id = f.line_id "
        "AND m.requested_at = f.requested_at), (SELECT count(*) FROM monitoring.consistency WHERE rate = 1)"
    ).fetchall()
    con.close()
    assert linked == lines
    assert rates == len(ORDER_LINE.outputs)


def test_one_changed_bit_fails_the_check_and_is_named(root: Path, done: dg.ExecuteInProcessResult):
    con = open_warehouse(root / "warehouse" / "returnml.duckdb")
    request_id, line_id, vector = con.execute("SELECT request_id, line_id, vector FROM serving.inference_log LIMIT 1").fetchall()[
        0
    ]
    at = 4 * ORDER_LINE.outputs.index("basket_quantity_sum")
    changed = vector[:at] + bytes([vector[at] ^ 1]) + vector[at + 1 :]
    con.execute(
        "UPDATE serving.inference_log SET vector = ? WHERE request_id = ? AND line_id = ?", [changed, request_id, line_id]
    )
    con.close()
    checked = verdict(materialize(root, build_consistency_asset(())), "consistency", "bit_identical")
    assert not checked.passed
    assert checked.severity == dg.AssetCheckSeverity.ERROR
    assert checked.metadata["differing"].value == ["basket_quantity_sum"]
    assert checked.metadata["vectors"].value == checked.metadata["identical"].value + 1
