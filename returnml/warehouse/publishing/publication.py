"""Publishing what the warehouse knows, once it is proved that it holds the event ledger up to the cut-off.

What a generation claims to hold is left out of the live part: an event that the warehouse lacks would be lost to every
score, and one that it holds beyond the claim would count twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import duckdb

from returnml.contracts.columns import ORDERS, RETURNS, STREAMS
from returnml.errors import Refusal
from returnml.features.feature_set import FeatureSet
from returnml.instants import day_of
from returnml.ledger.record_log import first_record, last_record, read
from returnml.store.backend import Backend
from returnml.store.event_writer import ledger_folder
from returnml.store.generation import Generation
from returnml.warehouse.ingest.raw_events import (
    EVENTS,
    TABLE,
)
from returnml.warehouse.ingest.schema import ensure_schema
from returnml.warehouse.partition import content_hashes
from returnml.warehouse.publishing.generation_content import publish_generation


class NotIngested(Refusal):
    """The warehouse does not hold what a generation of this cut-off must hold; the message says what to run."""


def publish_warehouse(
    con: duckdb.DuckDBPyConnection, feature_sets: Sequence[FeatureSet], cut_off_us: int, backend: Backend
) -> Generation:
    """Publish everything that was known before a cut-off. Later events of the ledger make the live part.

    Raises:
        NotIngested: where the tables are behind the cut-off.
        LogError: where the ledger is damaged.
        StoreError, TileError: see ``generation.publish_generation``.
    """
    _check_outcomes(con, cut_off_us)
    ledger_seq = ledger_position(con, ledger_folder(backend.root), cut_off_us)
    return publish_generation(con, feature_sets, cut_off_us, backend, ledger_seq=ledger_seq)


def ledger_position(con: duckdb.DuckDBPyConnection, ledger: Path, cut_off_us: int) -> int:
    """``seq`` of the ledger's last event known before the cut-off, all of which the warehouse holds; 0 where there is none.

    Raises:
        NotIngested: naming the first event that the warehouse lacks, or has and the ledger has not.
        LogError: where the ledger is damaged.
    """
    ensure_schema(con)
    last = last_record(ledger, cut_off_us)
    [(beyond,)] = con.execute(
        f"SELECT min(seq) FROM {TABLE} WHERE known_at < make_timestamp(?) AND seq > ?", [cut_off_us, last.seq if last else 0]
    ).fetchall()
    if beyond is not None:
        raise NotIngested(f"{TABLE} has event {beyond}, which {ledger} does not have: is it another shop's ledger, or cut off?")
    if last is None:
        return 0
    _check_events(con, ledger, last.seq, last.known_at_us)
    for stream in STREAMS:
        _check_core(con, stream, last.seq)
    return last.seq


def _check_events(con: duckdb.DuckDBPyConnection, ledger: Path, last_seq: int, known_at_us: int) -> None:
    """Positions are consecutive, so that their number says whether all are there."""
    oldest = first_record(ledger)
    first_seq = oldest.seq if oldest else last_seq
    held = con.execute(f"SELECT seq, epoch_us(known_at) FROM {TABLE} WHERE seq = ?", [last_seq]).fetchall()
    [(count,)] = con.execute(
        f"SELECT count(DISTINCT seq) FROM {TABLE} WHERE seq BETWEEN ? AND ?", [first_seq, last_seq]
    ).fetchall()
    if count == last_seq - first_seq + 1:
        if held != [(last_seq, known_at_us)]:
            raise NotIngested(f"{TABLE}: event {last_seq} is not that of {ledger}: is it another shop's ledger?")
        return
    [(missing,)] = con.execute(
        f"SELECT min(n) FROM (SELECT unnest(range(?, ? + 1)) AS n) ANTI JOIN {TABLE} ON seq = n", [first_seq, last_seq]
    ).fetchall()
    day = day_of(next(read(ledger, missing - 1)).known_at_us)
    raise NotIngested(
        f"{TABLE} lacks {last_seq - first_seq + 1 - count} events of {ledger} known before the cut-off, the first of them "
        f"seq {missing} of {day}: returnml backfill --from {day}, then publish"
    )


def _check_core(con: duckdb.DuckDBPyConnection, stream: str, last_seq: int) -> None:
    """Each accepted event has its rows in core, and no other event has any; with an order come those of the returns it links."""
    linked = (
        "UNION ALL SELECT seq, known_day, json_array_length(links) - len(json_extract_string(links, '$[*].rule')) AS rows "
        f"FROM {TABLE} WHERE links IS NOT NULL AND is_accepted AND seq <= $last AND rows > 0"
    )
    rows = "json_array_length(payload, '$.lines')" if stream == ORDERS.name else "1"
    wrong = con.execute(
        f"""
        SELECT coalesce(e.seq, c.seq), coalesce(e.known_day, c.known_day), coalesce(c.rows, 0), coalesce(e.rows, 0) FROM (
            SELECT seq, known_day, {rows} AS rows FROM {TABLE} WHERE type = $type AND is_accepted AND seq <= $last
            {linked if stream == RETURNS.name else ""}
        ) e FULL JOIN (
            SELECT ledger_seq AS seq, min(known_day) AS known_day, count(*) AS rows FROM core.{stream}
            WHERE ledger_seq <= $last GROUP BY ledger_seq
        ) c ON c.seq = e.seq WHERE e.rows IS DISTINCT FROM c.rows ORDER BY 1 LIMIT 1
        """,
        {"type": EVENTS[stream].__struct_config__.tag, "last": last_seq},
    ).fetchall()
    for seq, day, found, expected in wrong:
        raise NotIngested(
            f"core.{stream} has {found} rows of event {seq} of {day}, {expected} are expected: "
            f"returnml backfill --from {day}, then publish"
        )


def _check_outcomes(con: duckdb.DuckDBPyConnection, cut_off_us: int) -> None:
    ensure_schema(con)
    day = day_of(cut_off_us - 1)
    if not content_hashes(con, "core.outcomes", day, day):
        since = con.execute(
            "SELECT max(day) FROM ops.partitions WHERE table_name = 'core.outcomes' AND day < ?", [day]
        ).fetchall()
        first = since[0][0] + timedelta(days=1) if since and since[0][0] else day
        raise NotIngested(f"core.outcomes is not built through {day}: returnml backfill --from {first} --to {day}, then publish")
