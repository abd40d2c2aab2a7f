"""The line from landing files to outcomes, by its functions alone."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from returnml.contracts.columns import INSPECTIONS, ORDERS, RETURNS
from returnml.settings import Settings
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core


def build_line(con: duckdb.DuckDBPyConnection, landing: Path, first: date, last: date, settings: Settings | None = None) -> None:
    """Raw and core of every stream, and the outcomes, of the days ``first`` to ``last``."""
    chosen = settings or Settings()
    for stream in (ORDERS, RETURNS, INSPECTIONS):
        ingest_raw(con, stream, first, last, landing, chosen)
        build_core(con, stream, first, last)
    build_outcomes(con, first, last, chosen.label)
