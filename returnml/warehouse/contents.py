"""What the warehouse holds, as plain data for ``returnml status``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import duckdb

from returnml.contracts.columns import STREAMS
from returnml.warehouse.ingest.deliveries import RefusedFile
from returnml.warehouse.tables import present_tables


@dataclass(frozen=True)
class TableStatus:
    """Rows and days of one table; empty days count as days."""

    table: str
    rows: int
    days: int
    first_day: date | None
    last_day: date | None
    content_hash: str


@dataclass(frozen=True)
class QuarantineStatus:
    """Refused rows of one stream by the first rule that they break."""

    stream: str
    rule: str
    rows: int


@dataclass(frozen=True)
class WarehouseStatus:
    """Everything; ``as_data`` makes it JSON-ready."""

    tables: tuple[TableStatus, ...]
    quarantine: tuple[QuarantineStatus, ...]
    refused_files: tuple[RefusedFile, ...]

    def as_data(self) -> dict[str, Any]:
        return {
            name: [_plain(asdict(item)) for item in getattr(self, name)] for name in ("tables", "quarantine", "refused_files")
        }


def warehouse_status(con: duckdb.DuckDBPyConnection) -> WarehouseStatus:
    """Summarise the partitions that were written, the quarantine and the refused files; an empty warehouse has none."""
    known = present_tables(con)
    tables: tuple[TableStatus, ...] = ()
    if "ops.partitions" in known:
        rows = con.execute(
            """
            SELECT table_name, sum(rows)::BIGINT, count(*), min(day), max(day), md5(string_agg(content_hash, ',' ORDER BY day))
            FROM ops.partitions GROUP BY table_name ORDER BY table_name
            """
        ).fetchall()
        tables = tuple(TableStatus(*row) for row in rows)
    quarantine: list[QuarantineStatus] = []
    for stream in STREAMS:
        if f"quarantine.{stream}" in known:
            counted = con.execute(f"SELECT rule, count(*) FROM quarantine.{stream} GROUP BY rule ORDER BY 2 DESC, 1").fetchall()
            quarantine += [QuarantineStatus(stream, rule, count) for rule, count in counted]
    refused: tuple[RefusedFile, ...] = ()
    if "quarantine.files" in known:
        rows = con.execute(
            "SELECT stream, day, file, rule, column_name, message FROM quarantine.files ORDER BY stream, day, file"
        ).fetchall()
        refused = tuple(RefusedFile(*row) for row in rows)
    return WarehouseStatus(tables, tuple(quarantine), refused)


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in item.items()}
