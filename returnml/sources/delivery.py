"""Splits a stream's rows into landing days and delivers each of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from returnml.contracts.columns import DeliveredStream
from returnml.ledger.clock import Clock
from returnml.sources.landing import write_day


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
    covered: Collection[date] = (),
    on_day: Callable[[], None] | None = None,
) -> Delivered:
    """Write every UTC day of ``frame`` (by the stream's time column) to the landing folder.

    Args:
        covered: days that the source speaks about; those without rows are delivered empty, which says "nothing happened"
            rather than "nothing came".
        on_day: called after each day, for a progress bar.

    Raises:
        ValueError: if a row has no time; no day is written then.
    """
    missing = frame[stream.time_column].null_count()
    if missing:
        raise ValueError(f"{stream.name}: {missing} rows without {stream.time_column} belong to no day [missing_time]")
    parts = {
        key[0]: part
        for key, part in frame.with_columns(__day=pl.col(stream.time_column).dt.date())
        .partition_by("__day", as_dict=True, include_key=False, maintain_order=True)
        .items()
    }
    written = 0
    for day in sorted({*parts, *covered}):
        part = parts.get(day, frame.clear())
        written += write_day(landing, stream, day, part, source, clock) is not None
        if on_day is not None:
            on_day()
    total = len({*parts, *covered})
    return Delivered(stream.name, written, total - written, frame.height)
