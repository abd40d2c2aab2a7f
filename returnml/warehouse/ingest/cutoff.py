"""Up to when the warehouse knows the world: the cut-off of training and of published generations."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import duckdb

from returnml.errors import Refusal
from returnml.warehouse.ingest.raw_events import TABLE
from returnml.warehouse.ingest.schema import ensure_schema


class NothingKnown(Refusal):
    """The warehouse holds no order line and no event yet."""


def cut_off(con: duckdb.DuckDBPyConnection) -> datetime:
    """The end of the last day that has order lines or events (naive UTC): events known before it are in.

    Raises:
        NothingKnown: where no day has any.
    """
    ensure_schema(con)
    return known_until(con)


def known_until(con: duckdb.DuckDBPyConnection) -> datetime:
    """The same of a warehouse that has the tables of ingestion: it is only read.

    Raises:
        NothingKnown: where no day has any.
    """
    [(last,)] = con.execute(f"SELECT greatest(max(known_day), (SELECT max(known_day) FROM {TABLE})) FROM core.orders").fetchall()
    if last is None:
        raise NothingKnown("core.orders is empty: no day was ingested yet (returnml simulate or import, then returnml run)")
    return datetime.combine(last + timedelta(days=1), time())
