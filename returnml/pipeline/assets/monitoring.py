"""How the world looks against what the champion was made on."""

import dagster as dg
from dagster_duckdb import DuckDBResource

from returnml.pipeline.assets.line_asset import (
    column_schema,
    same_columns,
    table_asset,
    written,
)
from returnml.pipeline.assets.task_names import champion
from returnml.pipeline.checks import serving_checks as checks
from returnml.pipeline.partitions import days_of
from returnml.pipeline.resources.warehouse_resource import session
from returnml.settings import Settings
from returnml.tasks import CHECKOUT
from returnml.tasks.registry import task_named
from returnml.warehouse.monitoring.drift_table import (
    COLUMNS,
    TABLE,
    build_drift,
)

_ABOUT = {
    "psi": "Population stability index over the reference's bins.",
    "ks": "Kolmogorov-Smirnov distance over the reference's bins.",
}


@table_asset(
    "drift",
    table=TABLE,
    group="monitoring",
    deps=["scores_daily", "features_order_line"],
    description="One row per day and column: how far scores and features of the trailing week are from the champion's "
    "reference, as effect sizes. The retraining sensor reads its check.",
    columns=column_schema(COLUMNS, _ABOUT),
    lineage=same_columns(list(COLUMNS), ("scores_daily", ["day", "release"])),
    checks=checks.DRIFT_SPECS,
)
def drift(
    context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    from returnml.release.folder import load_release, release_folder

    first, last = days_of(context)
    release = load_release(release_folder(settings.paths.releases, champion(settings, task_named(CHECKOUT))))
    with session(warehouse) as con:
        report = build_drift(con, release, first, last, settings.drift)
    drifted = sorted({column for period in report.days.values() for column in period.drifted})
    metadata = written(report.partitions.rows, report.partitions.content_hash, drifted=drifted[:50])
    return dg.MaterializeResult(metadata=metadata, check_results=checks.drift_results(report))


ASSETS = [drift]
