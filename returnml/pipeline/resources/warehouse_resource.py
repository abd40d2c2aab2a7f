"""The warehouse as a Dagster resource."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_duckdb import DuckDBResource

from returnml.settings import Settings
from returnml.warehouse.partition import configure

if TYPE_CHECKING:
    import duckdb

POOL = "warehouse"
"""Pool of every step that opens the warehouse; its limit of 1 is set in ``dagster.yaml``."""


def warehouse_resource(settings: Settings) -> DuckDBResource:
    return DuckDBResource(database=str(settings.paths.warehouse))


@contextmanager
def session(warehouse: DuckDBResource) -> Iterator[duckdb.DuckDBPyConnection]:
    """An open, configured connection; closed also when the body fails, which the resource itself does not do."""
    Path(warehouse.database).parent.mkdir(parents=True, exist_ok=True)
    with warehouse.get_connection() as con, closing(con):
        configure(con)
        yield con
