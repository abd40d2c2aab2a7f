"""The one partitioning of the line: UTC days, from the first that was landed or has events, without an end."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from returnml.errors import Refusal
from returnml.settings import Settings
from returnml.warehouse.ingest.extent import known_days

PARTITIONS_TAG = "partitions"
"""``daily`` on every asset that is cut into days. Which days is said where a code location is built: its settings decide."""

FIRST_DAY_WITHOUT_DATA = date(2025, 1, 1)
"""Where days start before anything was landed: the simulator's first day."""


def first_day(settings: Settings) -> date:
    """The setting ``first_day``, else the first day that is known."""
    if settings.first_day is not None:
        return date.fromisoformat(settings.first_day)
    try:
        known = known_days(settings.paths)
    except Refusal:  # ingestion names the file; a damaged one must not take the code location down
        known = None
    return known[0] if known else FIRST_DAY_WITHOUT_DATA


def daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """The days of a code location: from ``first_day`` on."""
    return dg.DailyPartitionsDefinition(start_date=first_day(settings).isoformat())


def partitioned(asset: dg.AssetsDefinition, days: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """A declared asset with the days of its code location, where it is cut into days; else the asset itself."""
    if not is_partitioned(asset):
        return asset
    return asset.map_asset_specs(lambda spec: spec.replace_attributes(partitions_def=days))


def is_partitioned(asset: dg.AssetsDefinition) -> bool:
    """Whether it is declared as cut into days."""
    return all(spec.tags.get(PARTITIONS_TAG) == "daily" for spec in asset.specs)


def days_of(context: dg.AssetExecutionContext) -> tuple[date, date]:
    """First and last day (inclusive) of the partitions that a step is to write."""
    window = context.partition_time_window
    return window.start.date(), window.end.date() - timedelta(days=1)
