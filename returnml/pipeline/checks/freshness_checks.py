"""Whether the tables hold the days that they should hold by now: the age of the data, whenever they were written.

Dagster's own freshness looks at the last materialization: a repair of an old day, or a run over old data, passes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import dagster as dg

from returnml.instants import day_of
from returnml.pipeline.checks import (
    result,
    spec,
)

DATA_FRESH = "data_fresh"
DEADLINE_HOURS = 7
"""After midnight UTC: from then on yesterday is due."""
_HOUR_US = 3_600_000_000


def freshness_specs(assets: Iterable[dg.AssetKey]) -> list[dg.AssetCheckSpec]:
    text = f"The day before today is in it by {DEADLINE_HOURS}:00 UTC, and something was delivered for that day."
    return [spec(asset, DATA_FRESH, text, blocking=False, kind="freshness") for asset in assets]


def due_day(now_us: int) -> date:
    """The last day that must be there.

    >>> due_day(1_742_195_400_000_000)  # 2025-03-17 07:10
    datetime.date(2025, 3, 16)
    >>> due_day(1_742_194_200_000_000)  # 2025-03-17 06:50
    datetime.date(2025, 3, 15)
    """
    return day_of(now_us - DEADLINE_HOURS * _HOUR_US) - timedelta(days=1)


def freshness_result(asset: dg.AssetKey, written: date | None, delivered: date | None, due: date) -> dg.AssetCheckResult:
    """Judge one asset.

    Args:
        written: the newest day that it was written for; None: it never was.
        delivered: the newest day that anything was landed for or sent as an event; None: there is none.
    """
    through = None if written is None or delivered is None else min(written, delivered)
    metadata: dict[str, str | int] = {"due": due.isoformat(), "data_through": "nothing"}
    if through is not None:
        metadata |= {"data_through": through.isoformat(), "days_late": max(0, (due - through).days)}
    return result(asset, DATA_FRESH, through is not None and through >= due, metadata, warn=True)
