"""What later events may refer to, from the core tables: order lines, returns and inspections, for the online store."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import msgspec

from returnml.features.declarations import KeyGroup
from returnml.ledger.validator import WaitingReturn
from returnml.store.event_rows import (
    ORDERS_TABLE,
    StoredLine,
    line_keys,
)
from returnml.store.keys import CURRENCY, INSPECTIONS, LINES, RETURNS, WAITING, encode_key
from returnml.warehouse.ingest.currency import check_one_currency

_LINES = """
    WITH returned AS (
        SELECT line_id, sum(quantity)::BIGINT AS quantity FROM core.returns
        WHERE NOT is_orphan AND known_at < make_timestamp($cut_off) GROUP BY line_id
    )
    SELECT o.line_id, epoch_us(o.ordered_at), o.quantity, coalesce(r.quantity, 0), {keys}
    FROM core.orders o LEFT JOIN returned r USING (line_id) WHERE o.known_at < make_timestamp($cut_off)
"""

_WAITING = """
    SELECT r.line_id, r.return_id, epoch_us(r.returned_at), r.quantity, r.refund_cents, r.reason,
        r.customer_id IS NOT NULL AND r.article_id IS NOT NULL
    FROM core.returns r ANTI JOIN (SELECT line_id FROM core.orders WHERE known_at < make_timestamp($cut_off)) o USING (line_id)
    WHERE r.is_orphan AND nullif(trim(r.line_id), '') IS NOT NULL AND r.known_at < make_timestamp($cut_off) ORDER BY r.seq
"""


def line_index(con: duckdb.DuckDBPyConnection, groups: Sequence[KeyGroup], cut_off_us: int) -> list[tuple[bytes, bytes]]:
    """The index as of a cut-off, ascending by key; empty where no declared stream is fed by orders.

    Raises:
        MixedCurrencies: where amounts of several currencies would be added.
    """
    if ORDERS_TABLE not in {stream.table for group in groups for stream in group.streams}:
        return []
    encode = msgspec.msgpack.Encoder().encode
    lines = _LINES.format(keys=", ".join(f"o.{key}" for key in line_keys(groups)))
    cut_off = {"cut_off": cut_off_us}
    found = [
        (encode_key(LINES, (line_id,)), encode(StoredLine(ordered_at_us, quantity, returned, tuple(keys))))
        for line_id, ordered_at_us, quantity, returned, *keys in con.execute(lines, cut_off).fetchall()
    ]
    for section, table, column in ((RETURNS, "returns", "return_id"), (INSPECTIONS, "inspections", "inspection_id")):
        rows = con.execute(
            f"SELECT DISTINCT {column} FROM core.{table} WHERE known_at < make_timestamp($cut_off)", cut_off
        ).fetchall()
        found += [(encode_key(section, row), b"") for row in rows]
    waiting: dict[str, list[WaitingReturn]] = {}
    for line_id, *one in con.execute(_WAITING, cut_off).fetchall():
        waiting.setdefault(line_id, []).append(WaitingReturn(*one))
    found += [(encode_key(WAITING, (line_id,)), encode(returns)) for line_id, returns in waiting.items()]
    currency = check_one_currency(con, cut_off_us)
    found += [] if currency is None else [(CURRENCY, currency.encode())]
    return sorted(found)
