"""Splits a stream's rows into landing days and delivers each of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from returnml.clock import Clock
from returnml.contracts.columns import DeliveredStream
from returnml.privacy.customers import CustomerIds
from returnml.sources.landing import write_day
from returnml.sources.pseudonyms import pseudonymised

Progress = Callable[[str, int, int], None]
"""Called with what is being done, days done and days to do."""


def silent(label: str, done: int, total: int) -> None:
    """No progress is shown."""


@dataclass(frozen=True)
class Delivered:
    """What a delivery did: days written as a new version, days whose bytes were there already, rows in all days."""

    stream: str
    days_written: int
    days_unchanged: int
    rows: int


def deliver(
    landing: Path,
    stream: DeliveredStream,
    frame: pl.DataFrame,
    source: str,
    clock: Clock,
    customers: CustomerIds,
    covered: Collection[date] = (),
    progress: Progress = silent,
) -> Delivered:
    """Write every UTC day of ``frame`` (by the stream's time column) to the landing folder.

    Args:
        customers: what the customer ids of the rows become; no id of the shop gets into a file.
        covered: days that the source speaks about; those without rows are delivered empty, which says "nothing happened"
            rather than "nothing came".
        progress: called after each day.

    Raises:
        ValueError: if a row has no time; no day is written then.
    """
    missing = frame[stream.time_column].null_count()
    if missing:
        raise ValueError(f"{stream.name}: {missing} rows without {stream.time_column} belong to no day [missing_time]")
    frame = pseudonymised(stream, frame, customers)
    parts = {
        key[0]: part
        for key, part in frame.with_columns(__day=pl.col(stream.time_column).dt.date())
        .partition_by("__day", as_dict=True, include_key=False, maintain_order=True)
        .items()
    }
    days = sorted({*parts, *covered})
    written = 0
    for done, day in enumerate(days, 1):
        written += write_day(landing, stream, day, parts.get(day, frame.clear()), source, clock) is not None
        progress(f"delivering {stream.name}", done, len(days))
    return Delivered(stream.name, written, len(days) - written, frame.height)
