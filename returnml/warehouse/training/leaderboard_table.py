"""``training.leaderboard``: every figure of every variant of a training snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from returnml.modeling.training.leaderboard import Leaderboard
from returnml.warehouse.partition import transaction

if TYPE_CHECKING:
    import duckdb

COLUMNS = {
    "task": "VARCHAR",
    "snapshot": "VARCHAR",
    "variant": "VARCHAR",
    "is_chosen": "BOOLEAN",
    "is_baseline": "BOOLEAN",
    "selection_loss": "DOUBLE",
    "rows": "BIGINT",
    "customers": "BIGINT",
    "maturity_days": "INTEGER",
    "mature_share": "DOUBLE",
    "figure": "VARCHAR",
    "value": "DOUBLE",
    "low": "DOUBLE",
    "high": "DOUBLE",
    "difference": "DOUBLE",
    "difference_low": "DOUBLE",
    "difference_high": "DOUBLE",
}


def write_leaderboard(con: duckdb.DuckDBPyConnection, task: str, board: Leaderboard) -> int:
    """Replace what the table says of the task and snapshot, in one transaction; returns how many rows that are."""
    rows = [
        [
            *(task, board.snapshot, one.variant, one.is_chosen, one.is_baseline, one.selection_loss),
            *(board.rows, board.customers, board.maturity.days, board.maturity.mature_share, name),
            *(figure.value, figure.low, figure.high, figure.difference, figure.difference_low, figure.difference_high),
        ]
        for one in board.standings
        for name, figure in one.figures.items()
    ]
    body = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    with transaction(con):
        con.execute("CREATE SCHEMA IF NOT EXISTS training")
        con.execute(f"CREATE TABLE IF NOT EXISTS training.leaderboard ({body})")
        con.execute("DELETE FROM training.leaderboard WHERE task = ? AND snapshot = ?", [task, board.snapshot])
        con.executemany(f"INSERT INTO training.leaderboard VALUES ({', '.join('?' * len(COLUMNS))})", rows)
    return len(rows)
