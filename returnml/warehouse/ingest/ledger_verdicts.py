"""Rows of the ledger among the candidates of ``validate.build_core``: the verdict logged with the event is the only one.

No rule of the batch line is asked about them. An accepted event stands in core, and what it takes (an id, pieces of an
order line) is gone for landing rows of its day and later ones; a refused one stands in quarantine under its own rule.
"""

from __future__ import annotations

from datetime import date

import duckdb

from returnml.contracts.columns import ORDERS, RETURNS, DeliveredStream
from returnml.errors import Refusal
from returnml.warehouse.ingest.raw_events import TABLE

LOGGED_RANK = -1
"""Of refused events in ``broken``: the rule's name is in the ledger."""


class LedgerConflict(Refusal):
    """The ledger and the landing files contradict each other, and a closed day must not change to mend it."""


def mark_refused(con: duckdb.DuckDBPyConnection) -> None:
    """Add the candidates of refused events to ``broken``.

    Raises:
        LedgerConflict: where ``raw.events`` was ingested again and has other events than the stream's raw rows.
    """
    unjudged = con.execute(
        f"""
        SELECT c.file, c.ledger_seq FROM candidate c ANTI JOIN {TABLE} e ON e.seq = c.ledger_seq AND e.known_day = c.known_day
        WHERE c.ledger_seq IS NOT NULL ORDER BY c.ledger_seq LIMIT 1
        """
    ).fetchall()
    for file, seq in unjudged:
        raise LedgerConflict(f"{file}, seq {seq}: {TABLE} does not have this event; run the day's raw tables again")
    con.execute(
        f"""
        INSERT INTO broken SELECT c.pos, {LOGGED_RANK} FROM candidate c
        JOIN {TABLE} e ON e.seq = c.ledger_seq AND e.known_day = c.known_day WHERE NOT e.is_accepted
        """
    )


def refer(con: duckdb.DuckDBPyConnection, stream: DeliveredStream) -> None:
    """Add what accepted events refer to, as their verdicts say, to ``reference``.

    Raises:
        LedgerConflict: where an event refers to what is not in core.
    """
    if stream is ORDERS:
        return
    column, table = ("line_id", "core.orders") if stream is RETURNS else ("return_id", "core.returns")
    con.execute(
        f"""
        INSERT INTO reference SELECT c.pos, CASE WHEN NOT e.is_orphan THEN c.{column} END, e.is_orphan FROM candidate c
        JOIN {TABLE} e ON e.seq = c.ledger_seq AND e.known_day = c.known_day WHERE e.is_accepted
        """
    )
    unknown = con.execute(
        f"""
        SELECT c.file, c.ledger_seq, c.{column} FROM candidate c JOIN reference f USING (pos)
        ANTI JOIN {table} o ON o.{column} = f.line_id AND o.known_day <= c.known_day
        WHERE c.ledger_seq IS NOT NULL AND NOT f.is_orphan ORDER BY c.ledger_seq LIMIT 1
        """
    ).fetchall()
    for file, seq, value in unknown:
        raise LedgerConflict(
            f"{file}, seq {seq}: its {column} {value!r} was known when the event was accepted and is not in {table}: "
            "was history delivered again without it, or is a day before not ingested?"
        )


def check_conflicts(con: duckdb.DuckDBPyConnection, stream: DeliveredStream, first: date, last: date) -> None:
    """An id that an event took stands once in core, links apart.

    Raises:
        LedgerConflict: where a row of an earlier day has it: the stream was landed as well as sent.
    """
    first_rows = "AND NOT coalesce(c.is_link, false) AND NOT coalesce(o.is_link, false)" if stream is RETURNS else ""
    twice = con.execute(
        f"""
        SELECT c.file, c.ledger_seq, c.{stream.id_column}, o.file, o.known_day
        FROM core.{stream.name} c JOIN core.{stream.name} o USING ({stream.id_column})
        WHERE c.known_day BETWEEN ? AND ? AND c.ledger_seq IS NOT NULL
          AND o.known_day <= c.known_day AND o.ledger_seq IS DISTINCT FROM c.ledger_seq {first_rows} ORDER BY c.ledger_seq LIMIT 1
        """,
        [first, last],
    ).fetchall()
    for file, seq, value, other, day in twice:
        raise LedgerConflict(
            f"{file}, seq {seq}: {stream.id_column} {value!r} is in core.{stream.name} already, from {other}, known on {day}: "
            "a stream that is sent as events must not be landed too"
        )
