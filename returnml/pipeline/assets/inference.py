"""What the service answered, which order lines that was about, and the proof that it saw what batch sees."""

import dagster as dg
from dagster_duckdb import DuckDBResource

from returnml.attributes import Attributes
from returnml.features.sets.attributed import order_line
from returnml.pipeline.assets.line_asset import (
    column_schema,
    same_columns,
    table_asset,
    written,
)
from returnml.pipeline.checks import inference_checks as checks
from returnml.pipeline.partitions import days_of
from returnml.pipeline.resources.warehouse_resource import session
from returnml.settings import Settings
from returnml.warehouse.answers import recomputed_vectors as consistency_table
from returnml.warehouse.answers.inference_tables import (
    LOG,
    LOG_COLUMNS,
    MOMENT_COLUMNS,
    MOMENTS,
)

_LOG_ABOUT = {
    "mark": "`seq` of the last live event that was visible; 0 where a generation alone was.",
    "visible_until": "Event streams were visible before this instant.",
    "derived_until": "Streams that the nightly job makes were visible before this instant.",
    "raw": "The line's stored words behind every aggregate, int64.",
    "vector": "The line's features as the model got them, float32.",
    "latency_us": "From the decoded order to the scores.",
}
_CONSISTENCY_ABOUT = {
    "rate": "Share of vectors in which this feature has the same bits online and in batch.",
    "example": "Request and line of the first difference.",
}


@table_asset(
    "inference_log",
    table=LOG,
    group="serving",
    deps=[],
    description="One row per answered line, key `request_id`, `line_id`: inputs, raw aggregates, features, score, release. "
    "A day is replaced whole from the log segments that the service's workers wrote.",
    columns=column_schema(LOG_COLUMNS, _LOG_ABOUT),
    checks=checks.LOG_SPECS,
)
def inference_log(
    context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    from returnml.warehouse.answers.inference_tables import build_inference_log

    first, last = days_of(context)
    with session(warehouse) as con:
        report = build_inference_log(con, settings.paths.inference_log, first, last, settings.shop_attributes)
        results = checks.log_results(con, first, last)
    metadata = written(report.rows, report.content_hash, requests=report.requests, repeated=report.repeated)
    return dg.MaterializeResult(metadata=metadata, check_results=results)


@table_asset(
    "moments",
    table=MOMENTS,
    group="serving",
    deps=["inference_log", "orders"],
    description="One row per order line that was scored online before it was ordered, key `line_id`: its last answer before. "
    "The line's features are made as of that moment; the unlinked share is in the metadata.",
    columns=column_schema(MOMENT_COLUMNS),
    lineage=same_columns(
        list(MOMENT_COLUMNS),
        ("orders", ["known_day", "line_id", "order_id"]),
        ("inference_log", ["request_id", "requested_at", "visible_until", "derived_until"]),
    ),
)
def moments(context: dg.AssetExecutionContext, warehouse: DuckDBResource) -> dg.MaterializeResult:
    from returnml.warehouse.answers.inference_tables import build_moments

    first, last = days_of(context)
    with session(warehouse) as con:
        report = build_moments(con, first, last)
    return dg.MaterializeResult(metadata=written(report.linked, report.content_hash, unlinked=report.lines - report.linked))


def build_consistency_asset(attributes: Attributes) -> dg.AssetsDefinition:
    """``consistency``."""
    declared = order_line(attributes)

    @table_asset(
        "consistency",
        table=consistency_table.TABLE,
        group="monitoring",
        deps=[
            "inference_log",
            "orders",
            "returns",
            "outcomes",
            *(f"tiles_{group.name}" for group in declared.groups if group.is_tiled),
        ],
        description="One row per day and feature: every vector that was served, computed again in batch as of its moment and "
        "compared bit for bit.",
        columns=column_schema(consistency_table.COLUMNS, _CONSISTENCY_ABOUT),
        checks=checks.CONSISTENCY_SPECS,
    )
    def consistency(context: dg.AssetExecutionContext, warehouse: DuckDBResource) -> dg.MaterializeResult:
        from returnml.warehouse.answers.recomputed_vectors import build_consistency

        first, last = days_of(context)
        with session(warehouse) as con:
            report = build_consistency(con, declared, first, last)
        metadata = written(report.rows, report.content_hash, vectors=report.vectors, identical=report.identical)
        return dg.MaterializeResult(metadata=metadata, check_results=checks.consistency_results(report))

    return consistency


def build_assets(attributes: Attributes) -> list[dg.AssetsDefinition]:
    """Those of a shop with these attributes."""
    return [inference_log, moments, build_consistency_asset(attributes)]
