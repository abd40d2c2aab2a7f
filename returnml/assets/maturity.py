"""What young order lines will still do: final return rates, and the warehouse's coming days."""

import base64

import dagster as dg
from dagster_duckdb import DuckDBResource

from returnml.assets.table import column_schema, table_asset, written
from returnml.checks import maturity as checks
from returnml.partitions import days_of
from returnml.resources.warehouse import session
from returnml.settings import Settings
from returnml.warehouse.maturity import RATES_SCHEMA, RETURNS_SCHEMA, MaturityReport, columns

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


@table_asset(
    "return_rates",
    table="forecast.return_rates",
    group="forecast",
    deps=["orders", "returns"],
    description="One row per day and young cohort (day of ordering; week of ordering and product group): the return rate that it "
    "will have when it is mature, with an interval. Reports of young rates would else look better than they are.",
    columns=column_schema(columns(RATES_SCHEMA), _ABOUT),
    checks=checks.RATES_SPECS,
    kinds={"duckdb", "matplotlib"},
)
def return_rates(
    context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    from returnml.warehouse.maturity import build_return_rates
    from returnml.warehouse.maturity_report import write_rates_plot

    first, last = days_of(context)
    with session(warehouse) as con:
        report = build_return_rates(con, first, last, settings)
        results = checks.rates_results(con, first, last, report)
    return dg.MaterializeResult(metadata=_metadata(report, write_rates_plot(report, settings)), check_results=results)


@table_asset(
    "returns_forecast",
    table="forecast.returns",
    group="forecast",
    deps=["orders", "returns"],
    description="One row per day, coming day and product group: lines and pieces that will come back of what is already ordered, "
    "with intervals, so that the warehouse can plan its returns desk.",
    columns=column_schema(columns(RETURNS_SCHEMA), _ABOUT),
    checks=checks.RETURNS_SPECS,
    kinds={"duckdb", "matplotlib"},
)
def returns_forecast(
    context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    from returnml.warehouse.maturity import build_returns_forecast
    from returnml.warehouse.maturity_report import write_forecast_plot

    first, last = days_of(context)
    with session(warehouse) as con:
        report = build_returns_forecast(con, first, last, settings)
        results = checks.returns_results(con, first, last, report)
    return dg.MaterializeResult(metadata=_metadata(report, write_forecast_plot(report, settings)), check_results=results)


def _metadata(report: MaturityReport, plot: bytes | None) -> dict:
    metadata = written(report.partitions.rows, report.partitions.content_hash, days_without_rows=report.skipped)
    if report.without_times:
        metadata["note"] = (
            f"{report.without_times:,} order lines have a flag and no return time: "
            "no delay can be estimated from them, and nothing is forecast of them"
        )
    if plot is not None:
        image = base64.b64encode(plot).decode()
        metadata["plot"] = dg.MetadataValue.md(f"![plot](data:image/png;base64,{image})")
    return metadata


ASSETS = [return_rates, returns_forecast]
