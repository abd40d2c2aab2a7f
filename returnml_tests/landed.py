"""Landing days written by hand, through the real writer, and the version of a day that was written last."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from returnml.clock import Clock
from returnml.contracts.columns import DeliveredStream
from returnml.sources.landing import Changes, LandingFile, Mode, history
from returnml.sources.landing_writer import DayPart, delivering, write_delivery


def land_day(
    landing: Path,
    stream: DeliveredStream,
    day: date,
    frame: pl.DataFrame,
    clock: Clock,
    *,
    mode: Mode = "replace",
    has_own_ids: bool = False,
) -> LandingFile:
    """Write rows, whatever their times, as the next version of a day."""
    part = DayPart(stream, day, mode, frame, has_own_ids, Changes(new=frame.height))
    with delivering(landing):
        return write_delivery(landing, "a test", [part], clock)[0]


def last_version(landing: Path, stream: str, day: date) -> LandingFile:
    """The version of a day that was written last."""
    return history(landing, stream, day)[-1]
