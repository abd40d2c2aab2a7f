"""What young order lines will still do: final return rates, and the warehouse's coming days."""

from collections.abc import Callable
from datetime import date

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from returnml.pipeline.assets.line_asset import (
    column_schema,
    picture,
    table_asset,
    written,
)
from returnml.pipeline.checks import maturity_checks as checks
from returnml.pipeline.partitions import days_of
from returnml.pipeline.resources.warehouse_resource import session
from returnml.settings import Settings
from returnml.warehouse.forecasts import maturity_tables
from returnml.warehouse.forecasts.maturity_report import (
    write_forecast_plot,
    write_rates_plot,
)
from returnml.warehouse.forecasts.maturity_tables import MaturityReport
from returnml.warehouse.tables import Columns

_ABOUT = {
    "day": "What was known at its end.",
    "product_group": "Null: the whole shop.",
    "lines": "Order lines: of the cohort; in the forecast, those of which goods come back on the day.",
    "returned": "Lines of which a return that counts for the label is known.",
    "rate": "Expected share of lines that will have come back within the label window.",
    "rate_low": "Of a nominal 90% interval, with rate_high; null while too few past forecasts have matured.",
    "matures_on": "From when on the rate is final.",
    "forecast_day": "UTC day on which goods come back.",
    "lines_low": "Of a nominal 90% interval, with lines_high; null while too few past forecasts have matured.",
    "new_order_lines": "What orders from now on would add if they went on as in the last four weeks; not in lines.",
}

Build = Callable[[duckdb.DuckDBPyConnection, date, date, Settings], MaturityReport]
Judge = Callable[[duckdb.DuckDBPyConnection, date, date, MaturityReport], list[dg.AssetCheckResult]]


def build_forecast(
    name: str,
    table: str,
    columns: Columns,
    description: str,
    build: Build,
    draw: Callable[[MaturityReport, Settings], bytes | None],
    specs: list[dg.AssetCheckSpec],
    judge: Judge,
) -> dg.AssetsDefinition:
    """A table of what is still to come of orders and returns, with the plot of its last day."""

    @table_asset(
        name,
        table=table,
        group="forecast",
        deps=["orders", "returns"],
        description=description,
        columns=column_schema(columns, _ABOUT),
        checks=specs,
        kinds={"duckdb", "matplotlib"},
    )
    def built(
        context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        first, last = days_of(context)
        with session(warehouse) as con:
            report = build(con, first, last, settings)
            results = judge(con, first, last, report)
        metadata = written(report.partitions.rows, report.partitions.content_hash, days_without_rows=report.skipped)
        if report.without_times:
            metadata["note"] = (
                f"{report.without_times:,} order lines have a flag and no return time: "
                "no delay can be estimated from them, and nothing is forecast of them"
            )
        if (plot := draw(report, settings)) is not None:
            metadata["plot"] = picture("plot", plot)
        return dg.MaterializeResult(metadata=metadata, check_results=results)

    return built


return_rates = build_forecast(
    "return_rates",
    maturity_tables.RATES,
    maturity_tables.RATES_COLUMNS,
    "One row per day and young cohort (day of ordering; week of ordering and product group): the return rate that it "
    "will have when it is mature, with an interval. Reports of young rates would else look better than they are.",
    maturity_tables.build_return_rates,
    write_rates_plot,
    checks.RATES_SPECS,
    checks.rates_results,
)
returns_forecast = build_forecast(
    "returns_forecast",
    maturity_tables.RETURNS,
    maturity_tables.RETURNS_COLUMNS,
    "One row per day, coming day and product group: lines and pieces that will come back of what is already ordered, "
    "with intervals, so that the warehouse can plan its returns desk.",
    maturity_tables.build_returns_forecast,
    write_forecast_plot,
    checks.RETURNS_SPECS,
    checks.returns_results,
)

ASSETS = [return_rates, returns_forecast]
