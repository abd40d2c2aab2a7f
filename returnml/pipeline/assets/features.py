"""Tiles, and the feature vectors of order lines, returns and customers as of their moments."""

from collections.abc import Mapping, Sequence

import dagster as dg
from dagster_duckdb import DuckDBResource

from returnml.attributes import Attributes
from returnml.features.catalogue import catalogue
from returnml.features.declarations import KeyGroup
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.attributed import order_line
from returnml.features.sets.customer import CUSTOMER
from returnml.features.sets.return_request import (
    RETURN_REQUEST,
    SHARED_GROUPS,
)
from returnml.features.sql.duckdb import DUCKDB
from returnml.features.sql.tile_totals import tile_columns
from returnml.pipeline.assets.cutoff_config import CutOffConfig
from returnml.pipeline.assets.line_asset import (
    column_schema,
    same_columns,
    table_asset,
    written,
)
from returnml.pipeline.checks import feature_checks as checks
from returnml.pipeline.partitions import days_of
from returnml.pipeline.resources.warehouse_resource import session
from returnml.settings import Settings
from returnml.tasks.live_sets import live_tile_groups
from returnml.tasks.registry import tasks
from returnml.tasks.spines import CUSTOMERS
from returnml.warehouse.features import (
    customer_vectors,
    return_vectors,
)
from returnml.warehouse.features import order_line_vectors as order_lines


def _schema(feature_set: FeatureSet, columns: Mapping[str, str]) -> dg.TableSchema:
    described = {entry.name: entry.description for entry in catalogue(feature_set)}
    return column_schema({**columns, **dict.fromkeys(feature_set.outputs, "FLOAT")}, described)


def _lineage(feature_set: FeatureSet, copied: Sequence[str], source: str = "orders") -> dg.TableColumnLineage:
    """Each feature's aggregated columns, or the row's own; ``copied`` are columns of the source."""
    deps = {name: [dg.TableColumnDep(dg.AssetKey(source), name)] for name in copied}
    for entry in catalogue(feature_set):
        found = [dg.TableColumnDep(dg.AssetKey(asset), column) for asset, column in entry.columns]
        if found:
            deps[entry.name] = found
    return dg.TableColumnLineage(deps)


def build_group_tiles(group: KeyGroup) -> dg.AssetsDefinition:
    """``tiles_<group>``."""
    name, streams = f"tiles_{group.name}", [stream.name for stream in group.streams]
    columns = tile_columns(DUCKDB, group)

    @table_asset(
        name,
        table=group.tile_table,
        group="tiles",
        deps=streams,
        description=f"One row per {' x '.join(group.keys)} and day with events: running totals through that day. They spare a "
        "day's partition from reading all of history.",
        columns=column_schema(columns),
        lineage=same_columns(list(columns), *((stream, group.keys) for stream in streams)),
        checks=checks.tile_specs(name),
    )
    def tiles(context: dg.AssetExecutionContext, warehouse: DuckDBResource) -> dg.MaterializeResult:
        from returnml.warehouse.features.tile_tables import build_tiles

        first, last = days_of(context)
        with session(warehouse) as con:
            report = build_tiles(con, group, first, last)
        return dg.MaterializeResult(
            metadata=written(report.rows, report.content_hash, checkpoints=len(report.checkpoints)),
            check_results=checks.tile_results(name, report),
        )

    return tiles


def build_features_order_line(attributes: Attributes) -> dg.AssetsDefinition:
    """``features_order_line``."""
    declared = order_line(attributes)

    @table_asset(
        "features_order_line",
        table="features.order_lines",
        group="features",
        deps=[
            "orders",
            "returns",
            "outcomes",
            "moments",
            *(f"tiles_{group.name}" for group in declared.groups if group.is_tiled),
        ],
        description="One row per order line, key `line_id`: its feature vector as of its moment, float32, missing is NaN. "
        "Training and the morning's scores read these; the service computes the same bits from the online store.",
        columns=_schema(declared, order_lines.COLUMNS),
        lineage=_lineage(declared, ("line_id", "order_id")),
        checks=checks.vector_specs(checks.ORDER_LINES),
    )
    def features_order_line(context: dg.AssetExecutionContext, warehouse: DuckDBResource) -> dg.MaterializeResult:
        from returnml.warehouse.answers.inference_tables import (
            MOMENTS,
            TABLES,
        )
        from returnml.warehouse.tables import ensure_tables

        first, last = days_of(context)
        with session(warehouse) as con:
            ensure_tables(con, TABLES)
            report = order_lines.build_order_lines(con, declared, first, last, MOMENTS)
            results = checks.vector_results(checks.ORDER_LINES, con, declared, first, last)
        metadata = written(
            report.rows, report.content_hash, feature_set=report.feature_set_hash, added=list(report.added_columns)
        )
        return dg.MaterializeResult(metadata=metadata, check_results=results)

    return features_order_line


@table_asset(
    "features_return",
    table=return_vectors.TABLE,
    group="features",
    deps=["orders", "returns", "inspections", "outcomes", *(f"tiles_{group.name}" for group in SHARED_GROUPS)],
    description="One row per return with a line, key `return_id`: its feature vector of what was known before the request, "
    "float32, missing is NaN. Of the inspections those of earlier returns.",
    columns=_schema(RETURN_REQUEST, return_vectors.COLUMNS),
    lineage=_lineage(RETURN_REQUEST, ("return_id", "line_id"), "returns"),
    checks=checks.vector_specs(checks.RETURNS),
)
def features_return(context: dg.AssetExecutionContext, warehouse: DuckDBResource) -> dg.MaterializeResult:
    first, last = days_of(context)
    with session(warehouse) as con:
        report = return_vectors.build_returns(con, RETURN_REQUEST, first, last)
        results = checks.vector_results(checks.RETURNS, con, RETURN_REQUEST, first, last)
    metadata = written(report.rows, report.content_hash, feature_set=report.feature_set_hash, added=list(report.added_columns))
    return dg.MaterializeResult(metadata=metadata, check_results=results)


@table_asset(
    "features_customer",
    table=customer_vectors.TABLE,
    group="features",
    deps=["orders", "returns", "outcomes", *(f"tiles_{group.name}" for group in CUSTOMER.groups if group.is_tiled)],
    description="One row per known customer and cut-off, key `customer_id`, `day` of the cut-off: the feature vector as "
    "of the cut-off, float32, missing is NaN. The service computes the same bits from the generation of that cut-off. Of the "
    "past the days that models are trained on.",
    is_partitioned=False,
    columns=_schema(CUSTOMER, customer_vectors.COLUMNS),
    lineage=_lineage(CUSTOMER, ("customer_id",)),
    checks=checks.CUSTOMER_SPECS,
)
def features_customer(
    config: CutOffConfig, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    waits = [task.maturity_days(settings.label) for task in tasks().values() if task.spine is CUSTOMERS]
    past = []
    with session(warehouse) as con:
        until = config.until(con)
        report = customer_vectors.build_customers(con, CUSTOMER, until)
        results = checks.customer_results(con, CUSTOMER, until)
        if waits and CUSTOMERS.sampling is not None:
            past = customer_vectors.build_past_customers(con, CUSTOMER, CUSTOMERS.sampling, until, min(waits))
    metadata = written(report.rows, report.content_hash, feature_set=report.feature_set_hash, cut_off=until.isoformat())
    metadata["past_days_written"] = len(past)
    return dg.MaterializeResult(metadata=metadata, check_results=results)


def build_assets(attributes: Attributes) -> list[dg.AssetsDefinition]:
    """Those of a shop with these attributes."""
    tiles = [build_group_tiles(group) for group in live_tile_groups(attributes) if group.is_tiled]
    return [*tiles, build_features_order_line(attributes), features_return, features_customer]
