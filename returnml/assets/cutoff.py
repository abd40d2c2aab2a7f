"""Run configuration of the assets that are as of a cut-off."""

from datetime import datetime

import dagster as dg
import duckdb


class CutOffConfig(dg.Config):
    """``cut_off``: ISO instant, UTC; default: the end of the last day in the warehouse that has order lines or events."""

    cut_off: str | None = None

    def until(self, con: duckdb.DuckDBPyConnection) -> datetime:
        """The cut-off, naive UTC."""
        from returnml.warehouse.cutoff import cut_off

        return datetime.fromisoformat(self.cut_off) if self.cut_off else cut_off(con)
