"""Orphan returns that meet their line: what ``core.returns`` says of a return from then on.

A closed day does not change: the row of the orphan stays where it is, and the link is a row of its own (``is_link``) at the
instant at which its line came, with the line and those of its keys that the orphan did not name and count by already.
Between two events the order's verdict decided (``ledger.validator``); where either was landed it is decided here, by the
same rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb

from returnml.contracts.columns import RETURNS
from returnml.features.fit_codes import return_columns
from returnml.features.sets.shop import KEY_COLUMNS
from returnml.sql import literal
from returnml.warehouse.ingest.raw_events import TABLE
from returnml.warehouse.ingest.schema import core_columns

LINK = "link"
"""The temporary table: one row per return that meets its line in the range (``validate.build_core``)."""
NAMED_KEYS = ("customer_id", "article_id")
NAMED = " AND ".join(f"nullif(trim(c.{name}), '') IS NOT NULL" for name in NAMED_KEYS)
"""Whether a candidate says by itself in whose windows it counts: ``ledger.validator.is_named``."""


_LINKS = '[{"return_id": "VARCHAR", "line_id": "VARCHAR", "rule": "VARCHAR"}]'


def stage_links(con: duckdb.DuckDBPyConnection, first: date, last: date) -> int:
    """Fill ``LINK`` with what may be linked on these days; returns how many there are."""
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {LINK} AS
        WITH orphans AS (
            SELECT return_id, line_id, returned_at, quantity, known_day, known_at, ledger_seq, NULL::BIGINT AS pos
            FROM core.returns WHERE is_orphan AND known_day < $first AND nullif(trim(line_id), '') IS NOT NULL
            UNION ALL
            SELECT c.return_id, c.line_id, c.returned_at, c.quantity, c.known_day, c.known_at, c.ledger_seq, c.pos
            FROM candidate c JOIN reference f USING (pos)
            WHERE f.is_orphan AND c.pos NOT IN (SELECT pos FROM broken) AND nullif(trim(c.line_id), '') IS NOT NULL
        ), told AS (
            SELECT seq, known_day, known_at, unnest(from_json(links, '{_LINKS}')) AS told_link
            FROM {TABLE} WHERE links IS NOT NULL AND known_day <= $last
        ), settled AS (
            SELECT o.return_id, o.line_id, o.quantity, t.known_day, t.known_at, o.known_at AS waits_since, t.seq AS ledger_seq,
                o.pos, true AS is_settled
            FROM told t JOIN orphans o ON o.return_id = t.told_link.return_id AND o.line_id = t.told_link.line_id
            WHERE t.told_link.rule IS NULL AND t.known_day >= $first
        ), landed AS (
            SELECT o.return_id, o.line_id, o.quantity, greatest(o.known_day, l.known_day) AS known_day,
                greatest(o.known_at, l.known_at) AS known_at, o.known_at AS waits_since, NULL::BIGINT AS ledger_seq,
                o.pos, false AS is_settled
            FROM orphans o JOIN core.orders l USING (line_id)
            WHERE (o.ledger_seq IS NULL OR l.ledger_seq IS NULL) AND greatest(o.known_day, l.known_day) BETWEEN $first AND $last
              AND o.returned_at >= l.ordered_at
              AND NOT EXISTS (FROM told t WHERE t.seq = l.ledger_seq AND t.told_link.return_id = o.return_id)
        )
        SELECT row_number() OVER (ORDER BY known_day, known_at, waits_since, return_id) AS number, *
        FROM (FROM settled UNION ALL BY NAME FROM landed)
        """,
        {"first": first, "last": last},
    )
    [(count,)] = con.execute(f"SELECT count(*) FROM {LINK}").fetchall()
    return int(count)


def link_select(first: date, categories: Sequence[str] = ()) -> str:
    """The rows of links, beside ``own``, the range's other rows, and in its columns.

    Each is what its orphan's row says (of the range, or of a day before), with what its line adds.

    Args:
        categories: further columns of the line that returns copy.
    """
    names = [c.name for c in core_columns(RETURNS) if c.name not in {"line_id", *NAMED_KEYS}]
    of_orphan = ", ".join(f'n."{name}"' for name in (*names, *return_columns(None), "extra", "file", "version", "row_number"))
    of_line = ", ".join(f'o."{name}"' for name in ("order_id", "ordered_at", *KEY_COLUMNS, *categories) if name not in NAMED_KEYS)
    added = ", ".join(f"CASE WHEN n.{name} IS NULL THEN o.{name} END AS {name}" for name in NAMED_KEYS)
    return (
        f"SELECT k.known_day, k.known_at, {of_orphan}, k.line_id, false AS is_orphan, true AS is_link, {of_line}, {added}, "
        f"k.ledger_seq FROM {LINK} k JOIN (FROM own WHERE is_orphan UNION ALL BY NAME "
        f"SELECT * EXCLUDE (seq) FROM core.returns WHERE is_orphan AND known_day < {literal(first)}) n USING (return_id) "
        "JOIN core.orders o ON o.line_id = k.line_id"
    )
