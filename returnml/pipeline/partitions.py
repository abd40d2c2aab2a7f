"""The one partitioning of the line: UTC days, from the first that was landed or has events, without an end."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from returnml.ledger.log import LogError
from returnml.settings import Settings, load_settings
from returnml.sources.landing import LandingError
from returnml.warehouse.ingest.extent import known_days

FIRST_DAY_WITHOUT_DATA = date(2025, 1, 1)
"""Where days start before anything was landed: the simulator's first day."""


def first_day(settings: Settings) -> date:
    """The setting ``first_day``, else the first day that is known."""
    if settings.first_day is not None:
        return date.fromisoformat(settings.first_day)
    try:
        known = known_days(settings.paths)
    except (LandingError, LogError):  # ingestion names the file; a damaged one must not take the code location down
        known = None
    return known[0] if known else FIRST_DAY_WITHOUT_DATA


DAILY = dg.DailyPartitionsDefinition(start_date=first_day(load_settings()).isoformat())


def days_of(context: dg.AssetExecutionContext) -> tuple[date, date]:
    """First and last day (inclusive) of the partitions that a step is to write."""
    window = context.partition_time_window
    return window.start.date(), window.end.date() - timedelta(days=1)
