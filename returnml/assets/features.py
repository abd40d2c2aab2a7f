"""Tiles, and the feature vectors of order lines as of their moments."""

import dagster as dg
from dagster_duckdb import DuckDBResource

from returnml.assets.table import column_schema, same_columns, table_asset, written
from returnml.checks import features as checks
from returnml.features.catalogue import catalogue
from returnml.features.declarations import KeyGroup
from returnml.features.order_line import GROUPS, ORDER_LINE
from returnml.features.sql_tiles import tile_columns
from returnml.partitions import days_of
from returnml.resources.warehouse import session

FIXED = {
    "day": "DATE",
    "line_id": "VARCHAR",
    "order_id": "VARCHAR",
    "requested_at": "TIMESTAMP",
    "visible_until": "TIMESTAMP",
    "derived_until": "TIMESTAMP",
    "feature_set_hash": "VARCHAR",
}


def _schema() -> dg.TableSchema:
    described = {entry.name: entry.description for entry in catalogue(ORDER_LINE)}
    return column_schema(FIXED | dict.fromkeys(ORDER_LINE.outputs, "FLOAT"), described)


def _lineage() -> dg.TableColumnLineage:
    """Each feature's aggregated columns, or the line's own."""
    deps = {name: [dg.TableColumnDep(dg.AssetKey("orders"), name)] for name in ("line_id", "order_id")}
    for entry in catalogue(ORDER_LINE):
        found = [dg.TableColumnDep(dg.AssetKey(asset), column) for asset, column in entry.columns]
        if found:
            deps[entry.name] = found
    return dg.TableColumnLineage(deps)


def build_group_tiles(group: KeyGroup) -> dg.AssetsDefinition:
    """``tiles_<group>``."""
    name, streams = f"tiles_{group.name}", [stream.name for stream in group.streams]
    columns = tile_columns(group)

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
        from returnml.warehouse.tiles import build_tiles

        first, last = days_of(context)
        with session(warehouse) as con:
            report = build_tiles(con, group, first, last)
        return dg.MaterializeResult(
            metadata=written(report.rows, report.content_hash, checkpoints=len(report.checkpoints)),
            check_results=checks.tile_results(name, report),
        )

    return tiles


TILES = [build_group_tiles(group) for group in GROUPS]


@table_asset(
    "features_order_line",
    table="features.order_lines",
    group="features",
    deps=["orders", "returns", "outcomes", "moments", *(f"tiles_{group.name}" for group in GROUPS)],
    description="One row per order line, key `line_id`: its feature vector as of its moment, float32, missing is NaN. Training "
    "and the morning's scores read these; the service computes the same bits from the online store.",
    columns=_schema(),
    lineage=_lineage(),
    checks=checks.SPECS,
)
def features_order_line(context: dg.AssetExecutionContext, warehouse: DuckDBResource) -> dg.MaterializeResult:
    from returnml.warehouse.features import build_order_lines
    from returnml.warehouse.inference import MOMENTS, ensure_tables

    first, last = days_of(context)
    with session(warehouse) as con:
        ensure_tables(con)
        report = build_order_lines(con, ORDER_LINE, first, last, MOMENTS)
        results = checks.results(con, ORDER_LINE, first, last)
    metadata = written(report.rows, report.content_hash, feature_set=report.feature_set_hash, added=list(report.added_columns))
    return dg.MaterializeResult(metadata=metadata, check_results=results)


ASSETS = [*TILES, features_order_line]
