"""What later events may refer to, from the core tables: order lines, returns and inspections, for the online store."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import msgspec

from returnml.features.declarations import KeyGroup
from returnml.features.sets.shop import KEY_COLUMNS
from returnml.store.event_rows import (
    ORDERS_TABLE,
    StoredLine,
)
from returnml.store.keys import INSPECTIONS, LINES, RETURNS, encode_key

_LINES = f"""
    WITH returned AS (
        SELECT line_id, sum(quantity)::BIGINT AS quantity FROM core.returns
        WHERE NOT is_orphan AND known_at < make_timestamp($cut_off) GROUP BY line_id
    )
    SELECT o.line_id, epoch_us(o.ordered_at), o.quantity, coalesce(r.quantity, 0), {", ".join(f"o.{k}" for k in KEY_COLUMNS)}
    FROM core.orders o LEFT JOIN returned r USING (line_id) WHERE o.known_at < make_timestamp($cut_off)
"""


def line_index(con: duckdb.DuckDBPyConnection, groups: Sequence[KeyGroup], cut_off_us: int) -> list[tuple[bytes, bytes]]:
    """The index as of a cut-off, ascending by key; empty where no declared stream is fed by orders."""
    if ORDERS_TABLE not in {stream.table for group in groups for stream in group.streams}:
        return []
    encode = msgspec.msgpack.Encoder().encode
    cut_off = {"cut_off": cut_off_us}
    found = [
        (encode_key(LINES, (line_id,)), encode(StoredLine(ordered_at_us, quantity, returned, tuple(keys))))
        for line_id, ordered_at_us, quantity, returned, *keys in con.execute(_LINES, cut_off).fetchall()
    ]
    for section, table, column in ((RETURNS, "returns", "return_id"), (INSPECTIONS, "inspections", "inspection_id")):
        rows = con.execute(f"SELECT {column} FROM core.{table} WHERE known_at < make_timestamp($cut_off)", cut_off).fetchall()
        found += [(encode_key(section, row), b"") for row in rows]
    return sorted(found)
