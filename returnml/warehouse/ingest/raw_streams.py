"""Landing files into ``raw.<stream>``: as delivered, a known day at a time, or a whole range at once; beside them the
rows of the event ledger, from ``raw.events``.

A file that cannot be read is refused as a whole: it is recorded in ``quarantine.files``, its day keeps its old state,
and the other days go on. Single values that cannot be read travel on in ``uncast`` and end in quarantine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from returnml.contracts.columns import OPEN_FLAG, ORDERS, DeliveredStream
from returnml.instants import written_us
from returnml.settings import Settings
from returnml.sources.import_error import first_line
from returnml.sql import quoted
from returnml.warehouse.ingest.casting import (
    casts,
    extra_json,
    uncast_json,
)
from returnml.warehouse.ingest.deliveries import (
    Delivery,
    FileRefused,
    RefusedFile,
    check_file,
    check_header,
    find_deliveries,
    refuse,
)
from returnml.warehouse.ingest.raw_events import stage_ledger_rows
from returnml.warehouse.ingest.schema import (
    ensure_schema,
    tables,
)
from returnml.warehouse.partition import combine_hashes, registered, replace_partition, transaction

_MIN_ROWS_FOR_WRONG_TYPE = 2  # a single row that cannot be read is a bad row, not a bad file


@dataclass(frozen=True)
class IngestReport:
    """What was read.

    Attributes:
        rows: in the days that were written.
        days: the days that were written, also the empty ones.
        refused: files that were not read; their days (imported history) keep their old state.
        missing_days: days in the range that neither a file nor an event feeds.
        added_columns: columns that the stream does not declare, with the first file that has them.
    """

    stream: str
    first: date
    last: date
    rows: int
    files: int
    days: tuple[date, ...]
    refused: tuple[RefusedFile, ...]
    missing_days: tuple[date, ...]
    added_columns: dict[str, str]
    content_hash: str


def ingest_raw(
    con: duckdb.DuckDBPyConnection, stream: DeliveredStream, first: date, last: date, landing: Path, settings: Settings
) -> IngestReport:
    """Replace the known days ``first`` to ``last`` of ``raw.<stream>`` by what landing folder and ``raw.events`` hold.

    One transaction. Nothing is raised for bad files: they are in the report.
    """
    ensure_schema(con)
    deliveries, refused = find_deliveries(landing, stream, first, last, written_us(settings.go_live))
    by_header: dict[tuple[Any, ...], list[Delivery]] = defaultdict(list)
    headers: dict[tuple[Any, ...], pl.Schema] = {}
    for delivery in deliveries:
        try:
            header = check_file(delivery)
        except FileRefused as error:
            refused.append(error.refused)
            continue
        signature = tuple((name, str(dtype)) for name, dtype in header.items())
        headers[signature] = header
        by_header[signature].append(delivery)

    con.execute(f"CREATE OR REPLACE TEMP TABLE staged AS SELECT * FROM raw.{stream.name} LIMIT 0")
    loaded: list[Delivery] = []
    added: dict[str, str] = {}
    known = {OPEN_FLAG, *(a.column for a in settings.shop_attributes if stream is ORDERS)}
    for signature, group in sorted(by_header.items(), key=lambda item: item[1][0].file):
        header = headers[signature]
        good, bad = _load(con, stream, header, group)
        refused.extend(bad)
        loaded.extend(good)
        for name in header:
            if good and name not in (*stream.column_names, *known):
                added[name] = min(added.get(name, good[0].file), good[0].file)
    try:
        _drop_superseded(con, stream, loaded)
        logged = stage_ledger_rows(con, stream, first, last, settings.shop_attributes)
        return _write(con, stream, first, last, deliveries, loaded, refused, added, logged)
    finally:
        con.execute("DROP TABLE staged")


def inputs_of(loaded: Iterable[Delivery], logged: Mapping[date, str]) -> dict[date, str]:
    """What each day of ``raw`` is made from, as ``ops.partitions`` notes it.

    Args:
        loaded: the files that were not refused.
        logged: see ``raw_events.event_hashes``.
    """
    inputs: dict[date, list[str]] = defaultdict(list)
    for delivery in loaded:
        inputs[delivery.known_day].append(f"{delivery.file}:{delivery.sha256}:{delivery.is_imported}")
    for day, content_hash in logged.items():
        inputs[day].append(f"raw.events:{content_hash}")
    return {day: combine_hashes(sorted(files)) for day, files in inputs.items()}


def _load(
    con: duckdb.DuckDBPyConnection, stream: DeliveredStream, header: pl.Schema, group: list[Delivery]
) -> tuple[list[Delivery], list[RefusedFile]]:
    """Stage files that share a header: all at once, or one by one where that fails."""
    try:
        check_header(group[0], stream, header)
    except FileRefused as error:
        first = error.refused
        return [], [refuse(d, first.rule, first.message, first.column).refused for d in group]
    refused: list[RefusedFile] = []
    try:
        _stage(con, stream, header, group)
        readable = group
    except duckdb.Error:
        readable = []
        for delivery in group:
            try:
                _stage(con, stream, header, [delivery])
                readable.append(delivery)
            except duckdb.Error as error:
                refused.append(refuse(delivery, "unreadable_parquet", first_line(error)).refused)
    good: list[Delivery] = []
    found = _staged_files(con, stream, readable)
    for delivery in readable:
        failure = _content_failure(stream, delivery, found.get(delivery.file))
        if failure is None:
            good.append(delivery)
        else:
            refused.append(failure)
            con.execute("DELETE FROM staged WHERE file = ?", [delivery.file])
    return good, refused


def _stage(con: duckdb.DuckDBPyConnection, stream: DeliveredStream, header: pl.Schema, group: list[Delivery]) -> None:
    read = casts(stream, header)
    typed = ", ".join(f'{c.value} AS "{c.column.name}"' for c in read)
    hashed = ", ".join(f't."{c.column.name}"' for c in read if c.column.name != stream.id_column)
    order = quoted(tables()[f"raw.{stream.name}"])
    files = pl.DataFrame(
        {
            "path": [str(d.path) for d in group],
            "file": [d.file for d in group],
            "known_day": [d.known_day for d in group],
            "version": [d.version for d in group],
            "is_imported": [d.is_imported for d in group],
            "has_own_ids": [d.has_own_ids for d in group],
            "delivered_at_us": [d.delivered_at_us for d in group],
        }
    )
    with transaction(con), registered(con, "staged_files", files):
        con.execute(
            f"""
            INSERT INTO staged BY NAME SELECT {order} FROM (
                SELECT t.*, NULL::BIGINT AS ledger_seq, f.known_day, f.file, f.version, f.is_imported, f.has_own_ids,
                    CASE WHEN f.is_imported THEN t.{stream.time_column} ELSE make_timestamp(f.delivered_at_us) END AS known_at,
                    hash({hashed}, t.extra, t.uncast) AS row_hash
                FROM (
                    SELECT {typed}, {extra_json(stream, header)} AS extra, {uncast_json(read)} AS uncast,
                        file_row_number + 1 AS row_number, delivered_file
                    FROM read_parquet($paths, filename = 'delivered_file', file_row_number = true, hive_partitioning = false)
                ) t JOIN staged_files f ON f.path = t.delivered_file
            )
            """,
            {"paths": [str(d.path) for d in group]},
        )


def _drop_superseded(con: duckdb.DuckDBPyConnection, stream: DeliveredStream, loaded: list[Delivery]) -> None:
    """Of the rows of imported history that share a day and an id only those of the last version stay (``landing``)."""
    imported = [d.known_day for d in loaded if d.is_imported]
    if len(imported) == len(set(imported)):
        return
    name = stream.id_column
    con.execute(
        f"""
        DELETE FROM staged USING (
            SELECT known_day, {name} AS id, max(version) AS last FROM staged
            WHERE is_imported AND {name} IS NOT NULL GROUP BY ALL HAVING min(version) < max(version)
        ) again WHERE staged.is_imported AND staged.known_day = again.known_day AND staged.{name} = again.id
            AND staged.version < again.last
        """
    )


def _staged_files(con: duckdb.DuckDBPyConnection, stream: DeliveredStream, group: list[Delivery]) -> dict[str, dict[str, Any]]:
    """Per staged file: its rows, and per column the values that were read and those that were not."""
    counts = ", ".join(
        f'count("{c.name}") AS "read_{c.name}", count(json_extract_string(uncast, \'$.{c.name}\')) AS "failed_{c.name}"'
        for c in stream.columns
    )
    frame = con.sql(f"SELECT file, count(*) AS rows, {counts} FROM staged GROUP BY file").pl()
    return {row["file"]: row for row in frame.iter_rows(named=True)}


def _content_failure(stream: DeliveredStream, delivery: Delivery, counted: dict[str, Any] | None) -> RefusedFile | None:
    rows = counted["rows"] if counted else 0
    if rows != delivery.rows:
        return refuse(delivery, "row_count_mismatch", f"{rows} rows, its sidecar says {delivery.rows}").refused
    for column in stream.columns:
        failed = counted[f"failed_{column.name}"] if counted else 0
        if counted and failed >= _MIN_ROWS_FOR_WRONG_TYPE and not counted[f"read_{column.name}"]:
            return refuse(delivery, "wrong_type", f"none of {failed} values is a {column.kind}", column.name).refused
    return None


def _write(
    con: duckdb.DuckDBPyConnection,
    stream: DeliveredStream,
    first: date,
    last: date,
    deliveries: list[Delivery],
    loaded: list[Delivery],
    refused: list[RefusedFile],
    added: dict[str, str],
    logged: dict[date, str],
) -> IngestReport:
    all_days = [first + timedelta(n) for n in range((last - first).days + 1)]
    imported = {d.file for d in deliveries if not d.is_imported}
    kept = {r.day for r in refused if r.file not in imported}
    with transaction(con):
        result = replace_partition(
            con,
            f"raw.{stream.name}",
            first,
            last,
            "SELECT * FROM staged WHERE NOT list_contains($kept::DATE[], known_day) "
            "ORDER BY known_day, file, ledger_seq, row_number",
            params={"kept": sorted(kept)},
            keep_days=kept,
            inputs_hash=inputs_of(loaded, logged),
        )
        con.execute("DELETE FROM quarantine.files WHERE stream = ? AND day BETWEEN ? AND ?", [stream.name, first, last])
        for r in sorted(refused, key=lambda r: (r.day, r.file)):
            con.execute(
                "INSERT INTO quarantine.files VALUES (?, ?, ?, ?, ?, ?)",
                [r.stream, r.day, r.file, r.rule, r.column, r.message],
            )
    fed = {d.known_day for d in deliveries} | {r.day for r in refused} | set(logged)
    return IngestReport(
        stream=stream.name,
        first=first,
        last=last,
        rows=result.rows,
        files=len(loaded),
        days=tuple(d.day for d in result.days),
        refused=tuple(sorted(refused, key=lambda r: (r.day, r.file))),
        missing_days=tuple(day for day in all_days if day not in fed),
        added_columns=added,
        content_hash=result.content_hash,
    )
