"""Which days there is anything to ingest of."""

from __future__ import annotations

from datetime import date

from returnml.contracts.columns import STREAMS
from returnml.features.windows import DAY_US
from returnml.instants import day_of
from returnml.ledger.record_log import first_record, last_record
from returnml.settings import DataPaths
from returnml.sources.landing import days
from returnml.sources.plausible_days import plausible_days


def known_days(paths: DataPaths, now_us: int | None = None) -> tuple[date, date] | None:
    """First and last day that any stream delivered or the ledger has events of; None where there is none.

    Landed days that a mistyped date made do not count (:func:`days_left_out`).

    Args:
        now_us: events of the day that has not ended at this instant do not count, nor do landed days after it.

    Raises:
        LandingError, LogError: where landing folder or ledger cannot be read.
    """
    found, _ = _landed_days(paths, now_us)
    until_us = None if now_us is None else now_us // DAY_US * DAY_US
    last = last_record(paths.ledger, until_us)
    first = first_record(paths.ledger)
    if first is not None and last is not None:
        found += [day_of(first.known_at_us), day_of(last.known_at_us)]
    return (min(found), max(found)) if found else None


def days_left_out(paths: DataPaths, now_us: int) -> list[date]:
    """Landed days that do not count: far from the others, or after now."""
    return _landed_days(paths, now_us)[1]


def _landed_days(paths: DataPaths, now_us: int | None) -> tuple[list[date], list[date]]:
    landed = {day for stream in STREAMS for day in days(paths.landing, stream)}
    future = set() if now_us is None else {day for day in landed if day > day_of(now_us)}
    kept, far = plausible_days(landed - future)
    return kept, [*far, *sorted(future)]
