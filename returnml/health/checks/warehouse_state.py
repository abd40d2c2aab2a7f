"""The warehouse against the landing files and against what it has noted of itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date

import duckdb

from returnml.clock import Clock
from returnml.contracts.columns import STREAMS, DeliveredStream
from returnml.findings import Finding
from returnml.instants import written_us
from returnml.settings import Settings
from returnml.sources.import_error import first_line
from returnml.sources.landing import LandingError, days
from returnml.warehouse.ingest.deliveries import find_deliveries
from returnml.warehouse.ingest.raw_events import event_hashes
from returnml.warehouse.ingest.raw_streams import inputs_of
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.tables import column_types, present_tables


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Nothing where no line ran yet; where another process has the warehouse open, that is said and nothing is looked at."""
    path = settings.paths.warehouse
    if not path.exists():
        return
    try:
        con = open_warehouse(path, read_only=True)
    except duckdb.IOException as error:
        meaning = "A run is writing it, or it is damaged: landing and warehouse were not compared."
        mend = "run returnml doctor again when the other process is done; where the file is damaged, remove it and returnml run"
        what = first_line(error)
        yield Finding(
            code="warehouse_not_open", where=str(path), what=what, meaning=meaning, mend=mend, is_command=False, is_damage=False
        )
        return
    with closing(con):
        known = present_tables(con)
        if "ops.partitions" not in known:
            return
        for stream in STREAMS.values():
            if f"raw.{stream.name}" in known:
                yield from _against_landing(con, settings, stream)
        yield from _against_notes(con, known)


def _against_landing(con: duckdb.DuckDBPyConnection, settings: Settings, stream: DeliveredStream) -> Iterator[Finding]:
    """What each day of ``raw`` was made from, and what there is to make it from now: files that were not refused, and events."""
    landing, table = settings.paths.landing, f"raw.{stream.name}"
    try:
        landed = days(landing, stream.name)
    except LandingError:
        return  # the check of the landing files says so
    noted = dict(con.execute("SELECT day, inputs_hash FROM ops.partitions WHERE table_name = ?", [table]).fetchall())
    refused = {file for (file,) in con.execute("SELECT file FROM quarantine.files WHERE stream = ?", [stream.name]).fetchall()}
    go_live = written_us(settings.go_live)
    found = find_deliveries(landing, stream, landed[0], date.max, go_live)[0] if landed else []
    loaded = [delivery for delivery in found if delivery.file not in refused]
    inputs = inputs_of(loaded, event_hashes(con, stream, date.min, date.max))
    differing = sorted(day for day, made_from in inputs.items() if day in noted and noted[day] != made_from)
    if differing:
        yield Finding(
            code="not_as_landed",
            where=table,
            what=f"{len(differing)} days are made from other files or events than are there now, {differing[0]} first",
            meaning="They were delivered again since, or go_live was changed: features and labels are of other rows.",
            mend=f"returnml backfill --from {differing[0]} --to {max(noted)}",
        )
    waiting = sorted(inputs.keys() - noted.keys())
    if waiting:
        yield Finding(
            code="not_ingested",
            where=table,
            what=f"{len(waiting)} landed days are not ingested, {waiting[0]} to {waiting[-1]}",
            meaning="Nothing is known of them yet: the next run takes the day before, not these.",
            mend=f"returnml backfill --from {waiting[0]} --to {waiting[-1]}",
            is_damage=False,
        )


def _against_notes(con: duckdb.DuckDBPyConnection, known: set[str]) -> Iterator[Finding]:
    """Rows of every day of every table, and what was noted when it was written."""
    noted: dict[str, dict[date, int]] = {}
    for table, day, rows in con.execute("SELECT table_name, day, rows FROM ops.partitions").fetchall():
        noted.setdefault(table, {})[day] = rows
    for table, days_noted in sorted(noted.items()):
        if table not in known:
            yield _changed(table, sorted(days_noted), "the table is gone")
            continue
        columns = column_types(con, table)
        by = "known_day" if "known_day" in columns else "day"
        held = dict(con.execute(f"SELECT {by}, count(*) FROM {table} GROUP BY ALL").fetchall())
        differing = sorted(day for day in days_noted.keys() | held.keys() if days_noted.get(day, 0) != held.get(day, 0))
        if differing:
            yield _changed(table, differing, f"{len(differing)} days have other rows than were written")


def _changed(table: str, differing: list[date], what: str) -> Finding:
    return Finding(
        code="partition_changed",
        where=table,
        what=f"{what}, {differing[0]} first",
        meaning="Something other than the line has written there: what rests on it is wrong, and no run notices.",
        mend=f"returnml backfill --from {differing[0]} --to {differing[-1]}",
    )
