"""The plots of the latest nowcast and forecast, below ``reports/forecast/``."""

from __future__ import annotations

import polars as pl

from returnml.files import replace_file
from returnml.modeling.reports.maturity_plots import (
    draw_forecast,
    draw_rates,
)
from returnml.settings import Settings
from returnml.warehouse.forecasts.maturity_tables import MaturityReport


def write_forecast_plot(report: MaturityReport, settings: Settings) -> bytes | None:
    """Draw the forecast of the report's last day and save it as ``returns-<day>.png``; None where that day has no rows."""
    if report.latest.is_empty():
        return None
    day = report.latest["day"][0]
    shop = report.latest.filter(pl.col("product_group").is_null()).sort("forecast_day")
    groups = report.latest.drop_nulls("product_group").sort("forecast_day").partition_by("product_group", as_dict=True)
    plot = draw_forecast(
        shop["forecast_day"].to_list(),
        shop["lines"].to_numpy(),
        shop.select("lines_low", "lines_high").to_numpy(),
        shop["new_order_lines"].to_numpy(),
        {str(name): part["lines"].to_numpy() for (name,), part in groups.items()},
        f"Lines coming back, as known at the end of {day}",
    )
    replace_file(settings.paths.reports / "forecast" / f"returns-{day}.png", plot)
    return plot


def write_rates_plot(report: MaturityReport, settings: Settings) -> bytes | None:
    """Draw the nowcast of the report's last day and save it as ``rates-<day>.png``; None where that day has no rows."""
    if report.latest.is_empty():
        return None
    day = report.latest["day"][0]
    shop = report.latest.filter(pl.col("product_group").is_null()).sort("first_ordered_day")
    plot = draw_rates(
        shop["first_ordered_day"].to_list(),
        shop["rate"].to_numpy(),
        shop.select("rate_low", "rate_high").to_numpy(),
        (shop["returned"] / shop["lines"]).to_numpy(),
        f"Return rate by day of ordering, as known at the end of {day}",
    )
    replace_file(settings.paths.reports / "forecast" / f"rates-{day}.png", plot)
    return plot
