"""Run configuration of the assets that are as of a cut-off."""

from datetime import datetime

import dagster as dg
import duckdb

from returnml.instants import (
    instant,
    instant_us,
)


class CutOffConfig(dg.Config):
    """``cut_off``: ISO instant, UTC where it names no zone; default: the end of the last day that has order lines or events."""

    cut_off: str | None = None

    def until(self, con: duckdb.DuckDBPyConnection) -> datetime:
        """The cut-off, naive UTC.

        Raises:
            ValueError: for a text that is no instant.
        """
        from returnml.warehouse.ingest.cutoff import cut_off

        if not self.cut_off:
            return cut_off(con)
        return instant(instant_us(datetime.fromisoformat(self.cut_off))).replace(tzinfo=None)
