"""The event ledger into ``raw.events``, a known day at a time, and its rows beside the landing rows of each stream.

A day is replaced whole from the log's segments. The verdict comes with the event and is never given again; an order's
lines become rows of their own, in the columns that a landing file would have.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from returnml.attributes import Attributes
from returnml.contracts.columns import INSPECTIONS, ORDERS, RETURNS, Column, DeliveredStream, Kind
from returnml.instants import (
    day_of,
    day_us,
)
from returnml.ledger.event_records import decode_payload
from returnml.ledger.events import InspectionCompleted, OrderLine, OrderPlaced, ReturnReceived
from returnml.ledger.record_log import Record, read_between
from returnml.sql import literal, quote
from returnml.warehouse.ingest.schema import (
    SQL_TYPES,
    ensure_schema,
    tables,
)
from returnml.warehouse.partition import content_hashes, replace_partition, transaction
from returnml.warehouse.tables import arrow_schema

TABLE = "raw.events"
EVENTS = {ORDERS.name: OrderPlaced, RETURNS.name: ReturnReceived, INSPECTIONS.name: InspectionCompleted}
"""The event that brings rows of a stream."""
_BATCH = 20_000


@dataclass(frozen=True)
class EventsReport:
    """What was read.

    Attributes:
        missing: positions between the first and the last of these days that the ledger does not have.
    """

    first: date
    last: date
    rows: int
    refused: int
    segments: int
    missing: int
    content_hash: str


def ingest_events(con: duckdb.DuckDBPyConnection, ledger: Path, first: date, last: date) -> EventsReport:
    """Replace the known days ``first`` to ``last`` of ``raw.events`` by what the ledger holds, in one transaction.

    Args:
        ledger: the folder of its segments; one that is not there holds nothing.

    Raises:
        LogError: for a damaged segment, naming file and byte; nothing is written then.
    """
    ensure_schema(con)
    schema = arrow_schema(tables()[TABLE])
    hashes: dict[date, Any] = defaultdict(hashlib.sha256)
    files: set[str] = set()
    refused = 0
    records = read_between(ledger, day_us(first), day_us(last + timedelta(days=1)))
    con.execute(f"CREATE OR REPLACE TEMP TABLE staged_events AS SELECT * FROM {TABLE} LIMIT 0")
    try:
        while batch := list(islice(records, _BATCH)):
            rows = [_row(file, record) for file, record in batch]
            for row, (_, record) in zip(rows, batch, strict=True):
                hashes[row["known_day"]].update(record.encode())
            files.update(row["file"] for row in rows)
            refused += sum(not row["is_accepted"] for row in rows)
            con.register("staged_batch", pa.Table.from_pylist(rows, schema))
            con.execute("INSERT INTO staged_events BY NAME SELECT * FROM staged_batch")
            con.unregister("staged_batch")
        [(missing,)] = con.execute("SELECT coalesce(max(seq) - min(seq) + 1 - count(*), 0) FROM staged_events").fetchall()
        inputs = {day: digest.hexdigest()[:32] for day, digest in hashes.items()}
        result = replace_partition(con, TABLE, first, last, "SELECT * FROM staged_events ORDER BY seq", inputs_hash=inputs)
    finally:
        con.execute("DROP TABLE staged_events")
    return EventsReport(first, last, result.rows, refused, len(files), int(missing), result.content_hash)


def stage_ledger_rows(
    con: duckdb.DuckDBPyConnection, stream: DeliveredStream, first: date, last: date, attributes: Attributes = ()
) -> dict[date, str]:
    """Add the rows of the days' events, refused ones too, to the temporary table ``staged`` (of ``raw.<stream>``).

    Args:
        attributes: the shop's own columns of the order table, in which the rows have them as a landing file would.

    Returns:
        The content hash of ``raw.events`` for each day that has any.
    """
    event_type = EVENTS[stream.name].__struct_config__.tag
    columns = {column: quote(column.name) for column in stream.columns}
    of_line = [column for column in columns if stream is ORDERS and column.name in OrderLine.__struct_fields__]
    of_event = [column for column in columns if column not in of_line]
    # What lines share is read once an event: beside each line, the event would make a day's rows grow with their square.
    once = ", ".join(f"{_value(stream, column, 'payload')} AS {columns[column]}" for column in of_event)
    each = ", ".join([*(columns[c] for c in of_event), *(f"{_value(stream, c, 'line')} AS {columns[c]}" for c in of_line)])
    extra = _sent_attributes(attributes) if stream is ORDERS and attributes else "NULL"
    lines = "json_extract(payload, '$.lines[*]')" if stream is ORDERS else "[NULL]"
    with transaction(con):
        con.execute(
            f"""
            INSERT INTO staged BY NAME
            SELECT known_day, known_at, file, 1 AS version, row_number, false AS is_imported, ledger_seq, {each},
                {extra}::JSON AS extra FROM (
                SELECT * EXCLUDE (lines), unnest(lines) AS line, generate_subscripts(lines, 1) AS row_number FROM (
                    SELECT known_day, known_at, file, seq AS ledger_seq, {once}, {lines} AS lines,
                        json_extract(payload, '$.attributes') AS sent FROM {TABLE}
                    WHERE type = $type AND known_day BETWEEN $first AND $last
                )
            )
            """,
            {"type": event_type, "first": first, "last": last},
        )
    return event_hashes(con, stream, first, last)


def _sent_attributes(attributes: Attributes) -> str:
    """JSON of what an order and a line of it sent, named as files deliver it."""
    found = []
    for attribute in attributes:
        source, path = ("sent", "$") if attribute.entity.is_of_order else ("line", "$.attributes")
        found.append(f"{literal(attribute.column)}, json_extract({source}, {literal(f'{path}.{attribute.name}')})")
    return f"json_object({', '.join(found)})"


def event_hashes(con: duckdb.DuckDBPyConnection, stream: DeliveredStream, first: date, last: date) -> dict[date, str]:
    """The content hash of ``raw.events`` for each day that has events of a stream."""
    event_type = EVENTS[stream.name].__struct_config__.tag
    held = con.execute(
        f"SELECT DISTINCT known_day FROM {TABLE} WHERE type = ? AND known_day BETWEEN ? AND ?", [event_type, first, last]
    ).fetchall()
    hashes = content_hashes(con, TABLE, first, last)
    return {day: hashes[day] for (day,) in held}


def _value(stream: DeliveredStream, column: Column, source: str) -> str:
    """How a declared column is read from the event's ``payload`` or a ``line`` of it; one that events do not have is null."""
    if column.name == stream.time_column:
        text = f"json_extract_string({source}, '$.occurred_at')"
    elif source == "line" or column.name in EVENTS[stream.name].__struct_fields__:
        text = f"json_extract_string({source}, '$.{column.name}')"
    else:
        text = "NULL"
    if column.kind is Kind.TIMESTAMP:
        return f"{text}::TIMESTAMPTZ::TIMESTAMP"
    return f"{text}::{SQL_TYPES[column.kind]}"


def _row(file: Path, record: Record) -> dict[str, Any]:
    judged = decode_payload(record)
    verdict = judged.verdict
    return {
        "known_day": day_of(record.known_at_us),
        "seq": record.seq,
        "known_at": record.known_at_us,
        "event_id": judged.event.event_id,
        "type": judged.event.__struct_config__.tag,
        "payload": msgspec.json.encode(judged.event).decode(),
        "is_accepted": verdict.is_accepted,
        "rule": verdict.rule,
        "field": verdict.field,
        "message": verdict.message,
        "is_orphan": verdict.is_orphan,
        "links": msgspec.json.encode(verdict.links).decode() if verdict.links else None,
        "conversion": msgspec.json.encode(judged.conversion).decode() if judged.conversion else None,
        "file": f"{file.parent.name}/{file.name}",
    }
