"""Removing days of the inference log that the warehouse holds whole.

A removed day leaves a mark in each worker's folder: the day is ingested no more, and its partition stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from returnml.files import write_synced
from returnml.ledger.answer_records import (
    PRUNED_FILE,
    is_pruned,
    logged_days,
    read_day,
)
from returnml.ledger.record_log import segments
from returnml.warehouse.answers.inference_tables import (
    LOG,
    TABLES,
)
from returnml.warehouse.tables import ensure_tables


@dataclass(frozen=True)
class LogDay:
    """One logged day that is old enough to go.

    Attributes:
        bytes: of its segments.
        missing: its answered lines that the warehouse does not have; it was removed if there are none.
    """

    day: date
    bytes: int
    missing: int


def prune_inference_log(con: duckdb.DuckDBPyConnection, root: Path, before: date) -> list[LogDay]:
    """Remove the segments of all days before one that are fully ingested.

    Raises:
        LogError: for a damaged log; days before it may be gone.
    """
    ensure_tables(con, TABLES)
    found = []
    for day in (d for d in logged_days(root) if d < before):
        files = [file for folder in _folders(root, day) for file in segments(folder)]
        if not files:
            continue
        size = sum(file.stat().st_size for file in files)
        missing = 0 if is_pruned(root, day) else _missing(con, root, day)
        found.append(LogDay(day, size, missing))
        if missing:
            continue
        # marked first: killed in between, the day counts as removed and what is left of it goes next time
        for folder in _folders(root, day):
            write_synced(folder / PRUNED_FILE, b"")
        for file in files:
            file.unlink()
    return found


def _missing(con: duckdb.DuckDBPyConnection, root: Path, day: date) -> int:
    held = set(con.execute(f"SELECT request_id, line_number FROM {LOG} WHERE day = ?", [day]).fetchall())
    logged = {(answer.request_id, i) for answer in read_day(root, day) for i in range(answer.lines)}
    return len(logged - held)


def _folders(root: Path, day: date) -> list[Path]:
    return sorted(root.glob(f"*/{day.isoformat()}"))
