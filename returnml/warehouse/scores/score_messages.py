"""A day of ``scores.daily`` as messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import duckdb
import msgspec

CHUNK_ROWS = 10_000


class DailyScore(msgspec.Struct, frozen=True):
    """One line's score of a day; its key is ``line_id``, so that scoring the day again replaces it."""

    day: date
    line_id: str
    order_id: str
    requested_at: datetime
    release: str
    feature_set_hash: str
    probability: float
    expected_cost_cents: int
    action: str
    is_explored: bool
    currency: str
    in_training: bool | None


_COLUMNS = ", ".join(DailyScore.__struct_fields__)
_encode = msgspec.json.Encoder().encode


def daily_scores(con: duckdb.DuckDBPyConnection, day: date) -> Iterator[tuple[str, bytes]]:
    """Key and value of every line scored for a day, by ``line_id``; the same table gives the same bytes."""
    rows = con.execute(f"SELECT {_COLUMNS} FROM scores.daily WHERE day = ? ORDER BY line_id", [day])
    while chunk := rows.fetchmany(CHUNK_ROWS):
        for values in chunk:
            row = dict(zip(DailyScore.__struct_fields__, values, strict=True))
            score = DailyScore(**row | {"requested_at": row["requested_at"].replace(tzinfo=UTC)})
            yield score.line_id, _encode(score)
