"""The warehouse as commands open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from returnml.errors import Refusal
from returnml.sources.import_error import first_line

if TYPE_CHECKING:
    import duckdb


@contextmanager
def opened(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse, or its copy for readers; refuses where there is none, or another process has it open."""
    import duckdb

    from returnml.warehouse.partition import open_warehouse

    if not path.exists():
        raise Refusal(f"{path} is not there yet: run the line first (returnml run makes it)")
    try:
        con = open_warehouse(path, read_only=read_only)
    except duckdb.IOException as error:
        raise Refusal(f"the warehouse is in use by another process; try again when it is done ({first_line(error)})") from error
    with closing(con):
        yield con
