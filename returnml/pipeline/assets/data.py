"""Landing files and the event ledger to raw, core and quarantine tables, and outcomes."""

import dagster as dg
from dagster_duckdb import DuckDBResource

from returnml.attributes import Attributes
from returnml.contracts.columns import INSPECTIONS, ORDERS, RETURNS, DeliveredStream
from returnml.pipeline.assets.line_asset import (
    column_schema,
    same_columns,
    table_asset,
    written,
)
from returnml.pipeline.checks import data_checks as checks
from returnml.pipeline.partitions import days_of
from returnml.pipeline.resources.warehouse_resource import session
from returnml.settings import Settings
from returnml.warehouse.ingest.schema import tables

_GRAIN = {"orders": "order line", "returns": "return", "inspections": "inspection"}
_REFERENCES = {"orders": (), "returns": ("orders",), "inspections": ("returns",)}


def _described(stream: DeliveredStream, attributes: Attributes = ()) -> dict[str, str]:
    own = {a.name: f"The shop's own: {a.says}." for a in attributes}
    return {column.name: column.description for column in stream.columns} | own


@table_asset(
    "raw_events",
    table="raw.events",
    group="raw",
    deps=[],
    description="One row per event of the ledger, key `seq`, with the verdict given when it was sent. Its orders, returns and "
    "inspections stand beside the landed ones from here on.",
    columns=column_schema(tables()["raw.events"], {"known_at": "When the store applied it.", "payload": "The event as sent."}),
    checks=checks.EVENTS_SPECS,
    kinds={"duckdb"},
)
def raw_events(
    context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    from returnml.warehouse.ingest.raw_events import ingest_events

    first, last = days_of(context)
    with session(warehouse) as con:
        report = ingest_events(con, settings.paths.ledger, first, last)
    metadata = written(report.rows, report.content_hash, refused=report.refused, segments=report.segments)
    return dg.MaterializeResult(metadata=metadata, check_results=checks.events_results(report))


def build_raw(stream: DeliveredStream) -> dg.AssetsDefinition:
    """``raw_<stream>``."""
    name, columns = f"raw_{stream.name}", tables()[f"raw.{stream.name}"]

    @table_asset(
        name,
        table=f"raw.{stream.name}",
        group="raw",
        deps=["raw_events"],
        description=f"One row per delivered {_GRAIN[stream.name]}, key (file, ledger_seq, row_number), exactly as the landing "
        "files or the ledger's events have it: so that every later table can be made again, and a refused row shown as it came.",
        columns=column_schema(columns, _described(stream)),
        lineage=same_columns(list(columns), ("raw_events", ["known_day", "known_at", "file"])),
        checks=checks.raw_specs(name),
        kinds={"duckdb", "parquet"},
    )
    def raw(
        context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        from returnml.warehouse.ingest.raw_streams import ingest_raw

        first, last = days_of(context)
        with session(warehouse) as con:
            report = ingest_raw(con, stream, first, last, settings.paths.landing, settings)
        for refused in report.refused:
            context.log.warning("%s", refused)
        return dg.MaterializeResult(
            metadata=written(report.rows, report.content_hash, files=report.files, days_without_file=len(report.missing_days)),
            check_results=checks.raw_results(name, report),
        )

    return raw


def build_core(stream: DeliveredStream, attributes: Attributes) -> dg.AssetsDefinition:
    """``<stream>``: the validated table, with its quarantine."""
    name, declared = stream.name, tables(attributes)
    columns, raw_columns = declared[f"core.{name}"], declared[f"raw.{name}"]
    references = _REFERENCES[name]

    @table_asset(
        name,
        table=f"core.{name}",
        group="core",
        deps=[f"raw_{name}", "raw_events", *references],
        description=f"One row per valid {_GRAIN[name]}, key `{stream.id_column}`; what breaks a rule is in quarantine.{name} "
        "with the rule and its file. Everything after this may rely on the contract.",
        columns=column_schema(columns, _described(stream, attributes)),
        lineage=same_columns(
            list(columns), (f"raw_{name}", list(raw_columns)), *((r, list(declared[f"core.{r}"])) for r in references)
        ),
        checks=checks.core_specs(name),
        kinds={"duckdb", "pandera"},
    )
    def core(
        context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        from returnml.exchange.rate_file import rates_of
        from returnml.warehouse.ingest.validate import build_core as validate

        first, last = days_of(context)
        with session(warehouse) as con:
            report = validate(con, stream, first, last, settings.shop.currency, rates_of(settings), attributes)
            results = checks.core_results(name, stream, con, first, last, report, settings.quality)
        metadata = written(report.good, report.core.content_hash, quarantined=report.quarantined, by_rule=report.by_rule)
        if stream is RETURNS:
            metadata |= {"orphans": report.orphans, "links": report.links}
        return dg.MaterializeResult(metadata=metadata, check_results=results)

    return core


def build_outcomes_asset(attributes: Attributes) -> dg.AssetsDefinition:
    """``outcomes``."""
    declared = tables(attributes)

    @table_asset(
        "outcomes",
        table="core.outcomes",
        group="core",
        deps=["orders", "returns"],
        description="One row per order line whose label matured, key `line_id`, in the partition of the night that learned of "
        "it. Return rates and training read outcomes only, so that young lines never count as kept.",
        columns=column_schema(declared["core.outcomes"]),
        lineage=same_columns(
            list(declared["core.outcomes"]), ("orders", list(declared["core.orders"])), ("returns", ["refund_cents"])
        ),
        checks=checks.OUTCOMES_SPECS,
    )
    def outcomes(
        context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        from returnml.warehouse.ingest.outcomes import build_outcomes

        first, last = days_of(context)
        with session(warehouse) as con:
            report = build_outcomes(con, first, last, settings.label, attributes)
            results = checks.outcomes_results(con, first, last)
        metadata = written(report.rows, report.partition.content_hash, returned=report.returned)
        return dg.MaterializeResult(metadata=metadata, check_results=results)

    return outcomes


def build_assets(attributes: Attributes) -> list[dg.AssetsDefinition]:
    """Those of a shop with these attributes."""
    streams = (ORDERS, RETURNS, INSPECTIONS)
    of_streams = [asset for stream in streams for asset in (build_raw(stream), build_core(stream, attributes))]
    return [raw_events, *of_streams, build_outcomes_asset(attributes)]
