"""The one partitioning of the line: UTC days, from the first that was landed, without an end."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from returnml.settings import Settings, load_settings
from returnml.sources.landing import LandingError, days

FIRST_DAY_WITHOUT_DATA = date(2025, 1, 1)
"""Where days start before anything was landed: the simulator's first day."""


def landed_days(settings: Settings) -> tuple[date, date] | None:
    """First and last day that any stream delivered; None where nothing was landed."""
    found = [day for stream in ("orders", "returns", "inspections") for day in days(settings.paths.landing, stream)]
    return (min(found), max(found)) if found else None


def first_day(settings: Settings) -> date:
    """The setting ``first_day``, else the first landed day."""
    if settings.first_day is not None:
        return date.fromisoformat(settings.first_day)
    try:
        landed = landed_days(settings)
    except LandingError:  # ingestion names the file; a damaged landing folder must not take the code location down
        landed = None
    return landed[0] if landed else FIRST_DAY_WITHOUT_DATA


DAILY = dg.DailyPartitionsDefinition(start_date=first_day(load_settings()).isoformat())


def days_of(context: dg.AssetExecutionContext) -> tuple[date, date]:
    """First and last day (inclusive) of the partitions that a step is to write."""
    window = context.partition_time_window
    return window.start.date(), window.end.date() - timedelta(days=1)
