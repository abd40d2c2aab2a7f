"""Which returns of an order line are accepted: the rules where one row's acceptance depends on another's.

An id is taken by the first accepted return that bears it, and a line's accepted returns never add up to more than was
ordered; a refused return takes neither. Most rows are not contested; those that are go through a fold in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import duckdb
import polars as pl

from returnml.contracts.columns import RETURNS
from returnml.contracts.rules import rule_ranks
from returnml.warehouse.ingest.links import stage_links
from returnml.warehouse.partition import registered


@dataclass(frozen=True)
class ContestedReturn:
    """One candidate; ``line_id`` is None for an orphan, which no order limits; ``is_settled``: the ledger accepted it."""

    pos: int
    return_id: str
    line_id: str | None
    quantity: int
    is_settled: bool = False


@dataclass(frozen=True)
class ContestedLink:
    """An orphan that may be linked to its line (``links``); ``pos``: of its row, where that is a candidate itself."""

    number: int
    pos: int | None
    line_id: str
    quantity: int
    is_settled: bool


def accept(
    candidates: Iterable[ContestedReturn | ContestedLink],
    left: Mapping[str, int],
    taken: Iterable[str],
    refused: list[int],
) -> list[tuple[int, str]]:
    """Judge candidates in the given order.

    Args:
        left: pieces of each order line that no earlier accepted return has used.
        taken: ids of earlier accepted returns.
        refused: the numbers of links that do not fit, or whose orphan is refused, are added to it.

    Returns:
        (position, rule) of every broken rule.

    >>> twice = [ContestedReturn(n, f"r{n}", "l", q) for n, q in ((1, 3), (2, 3), (3, 2))]
    >>> accept(twice, {"l": 5}, (), [])
    [(2, 'return_larger_than_order')]
    """
    remaining, ids = dict(left), set(taken)
    broken: list[tuple[int, str]] = []
    gone: set[int | None] = set()
    for row in candidates:
        if isinstance(row, ContestedLink):
            if row.pos in gone or (row.quantity > remaining[row.line_id] and not row.is_settled):
                refused.append(row.number)
            else:
                remaining[row.line_id] -= row.quantity
            continue
        failures = []
        if row.return_id in ids and not row.is_settled:
            failures.append("duplicate_id")
        if row.line_id is not None and row.quantity > remaining[row.line_id] and not row.is_settled:
            failures.append("return_larger_than_order")
        if failures:
            broken.extend((row.pos, rule) for rule in failures)
            gone.add(row.pos)
            continue
        ids.add(row.return_id)
        if row.line_id is not None:
            remaining[row.line_id] -= row.quantity
    return broken


def judge_returns(con: duckdb.DuckDBPyConnection, first: date, last: date) -> None:
    """Add ``duplicate_id`` and ``return_larger_than_order`` to ``broken`` (tables of ``validate.build_core``), and keep in
    ``LINK`` the orphans that meet their line on these days and fit it: after the returns of their day.

    Reads accepted returns of the days before ``first`` for the lines and ids at hand.
    """
    stage_links(con, first, last)
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE open_returns AS
        SELECT c.pos, c.return_id, f.line_id, c.quantity, c.ledger_seq IS NOT NULL AS is_settled, c.known_day
        FROM candidate c JOIN reference f USING (pos)
        WHERE c.pos NOT IN (SELECT pos FROM broken)
        """
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE open_lines AS
        WITH wanted AS (
            SELECT line_id, sum(quantity) AS quantity FROM (
                SELECT line_id, quantity FROM open_returns UNION ALL SELECT line_id, quantity FROM link
            ) WHERE line_id IS NOT NULL GROUP BY line_id
        ),
        used AS (
            SELECT line_id, sum(quantity) AS quantity FROM core.returns
            WHERE known_day < ? AND NOT is_orphan AND line_id IN (SELECT line_id FROM wanted) GROUP BY line_id
        )
        SELECT w.line_id, (any_value(o.quantity) - coalesce(any_value(u.quantity), 0))::BIGINT AS remaining,
            any_value(w.quantity)::BIGINT AS wanted
        FROM wanted w JOIN core.orders o USING (line_id) LEFT JOIN used u USING (line_id) GROUP BY w.line_id
        """,
        [first],
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE taken_ids AS
        SELECT DISTINCT return_id FROM core.returns WHERE known_day < ? AND return_id IN (SELECT return_id FROM open_returns)
        """,
        [first],
    )
    # a line is contested where not all its candidates fit, or an orphan wants it; an id where it occurs twice or is taken
    contested = con.execute(
        """
        SELECT known_day, pos, return_id, line_id, quantity, is_settled FROM open_returns
        WHERE line_id IN (SELECT line_id FROM link) OR pos IN (SELECT pos FROM link)
           OR line_id IN (SELECT line_id FROM open_lines WHERE wanted > remaining)
           OR return_id IN (SELECT return_id FROM open_returns GROUP BY return_id HAVING count(*) > 1)
           OR return_id IN (SELECT return_id FROM taken_ids)
        ORDER BY pos
        """
    ).fetchall()
    links = con.execute("SELECT known_day, number, pos, line_id, quantity, is_settled FROM link ORDER BY number").fetchall()
    is_contested = bool(contested or links)
    left = con.execute("SELECT line_id, remaining FROM open_lines").fetchall() if is_contested else []
    taken = con.execute("SELECT return_id FROM taken_ids").fetchall() if is_contested else []
    ordered: list[tuple[date, int, ContestedReturn | ContestedLink]] = []
    ordered += [(day, 0, ContestedReturn(*row)) for day, *row in contested]
    ordered += [(day, 1, ContestedLink(*row)) for day, *row in links]
    ordered.sort(key=lambda item: item[:2])
    refused: list[int] = []
    broken = accept((item for _, _, item in ordered), dict(left), (row[0] for row in taken), refused)
    con.execute("DELETE FROM link WHERE list_contains($refused, number)", {"refused": refused})
    for table in ("open_returns", "open_lines", "taken_ids"):
        con.execute(f"DROP TABLE temp.{table}")
    if broken:
        ranks = rule_ranks(RETURNS)
        frame = pl.DataFrame([(pos, ranks[rule]) for pos, rule in broken], {"pos": pl.Int64, "rank": pl.Int32}, orient="row")
        with registered(con, "judged_returns", frame):
            con.execute("INSERT INTO broken SELECT pos, rank FROM judged_returns")
