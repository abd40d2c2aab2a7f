"""Amounts of one currency: which one is the shop's, and a refusal wherever several would be added.

A shop declares it (``shop.currency``); else it is the one that its amounts have so far. Rows in another one are quarantined
(``currency_differs``), as events are refused. A warehouse that has several already is summed by nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import duckdb

from returnml.contracts.columns import ORDERS, RETURNS, DeliveredStream
from returnml.contracts.rules import rule_ranks
from returnml.errors import Refusal
from returnml.ledger.validator import CURRENCY_DIFFERS
from returnml.sql import literal
from returnml.warehouse.tables import column_types, present_tables

_TABLES = ("core.orders", "core.returns")


class MixedCurrencies(Refusal):
    """Amounts of several currencies would be added; the message says which, how many, and what to do."""


def judge_currency(
    con: duckdb.DuckDBPyConnection, stream: DeliveredStream, first: date, last: date, declared: str | None
) -> None:
    """Add landed rows in another currency than the shop's to ``broken`` (tables of ``validate.build_core``).

    Raises:
        MixedCurrencies: where nothing says which is the shop's.
    """
    if stream not in (ORDERS, RETURNS):
        return
    currency = declared or _of_before(con, stream, first, last) or _of_first_day(con, stream)
    if currency is not None:
        con.execute(
            "INSERT INTO broken SELECT pos, $rank FROM candidate WHERE ledger_seq IS NULL AND currency <> $currency "
            "AND pos NOT IN (SELECT pos FROM broken)",
            {"rank": rule_ranks(stream)[CURRENCY_DIFFERS], "currency": currency},
        )


def check_one_currency(con: duckdb.DuckDBPyConnection, before_us: int | None = None) -> str | None:
    """The currency of every amount in the warehouse; None where there is none yet.

    Args:
        before_us: only of what was known before it, microseconds since the epoch.

    Raises:
        MixedCurrencies: where there are several.
    """
    where = "true" if before_us is None else f"known_at < make_timestamp({int(before_us)})"
    present = present_tables(con)
    held = [table for table in _TABLES if table in present and "currency" in column_types(con, table)]
    found = _found(con, [f"SELECT currency, known_day FROM {table} WHERE {where}" for table in held])
    if len(found) > 1:
        raise MixedCurrencies(
            f"{' and '.join(held)} hold amounts in {_said(found)}: different currencies are never added. Say which is the shop's "
            f"(shop.currency), then validate again: returnml backfill --from {min(day for _, day, _ in found)}: rows in others "
            "are quarantined; events in others that were accepted by an older version stay, and need a data root of their own"
        )
    return found[0][0] if found else None


def _of_before(con: duckdb.DuckDBPyConnection, stream: DeliveredStream, first: date, last: date) -> str | None:
    """What the days before are in; and, for returns, the orders of the same days."""
    days = {"core.orders": f"known_day < {literal(first)}", "core.returns": f"known_day < {literal(first)}"}
    if stream is RETURNS:
        days["core.orders"] = f"known_day <= {literal(last)}"
    found = _found(con, [f"SELECT currency, known_day FROM {table} WHERE {where}" for table, where in days.items()])
    return _only(found, "core.orders and core.returns")


def _of_first_day(con: duckdb.DuckDBPyConnection, stream: DeliveredStream) -> str | None:
    """What the first day with good rows is in: so a range built at once equals its days built one by one."""
    good = "SELECT currency, known_day FROM candidate ANTI JOIN broken USING (pos)"
    found = _found(con, [f"{good} WHERE known_day = (SELECT min(known_day) FROM candidate ANTI JOIN broken USING (pos))"])
    return _only(found, f"the first {stream.name}")


def _found(con: duckdb.DuckDBPyConnection, selects: Iterable[str]) -> list[tuple[str, date, int]]:
    """Each currency with its first day and its rows, the most frequent first."""
    parts = " UNION ALL ".join(selects)
    if not parts:
        return []
    held = f"SELECT currency, min(known_day), count(*) FROM ({parts}) WHERE currency IS NOT NULL"
    return con.execute(f"{held} GROUP BY currency ORDER BY 3 DESC, 1").fetchall()


def _only(found: list[tuple[str, date, int]], where: str) -> str | None:
    if len(found) > 1:
        raise MixedCurrencies(
            f"{where} are in {_said(found)}: different currencies are never added: say which is the shop's (shop.currency); rows "
            "in others are quarantined"
        )
    return found[0][0] if found else None


def _said(found: list[tuple[str, date, int]]) -> str:
    return ", ".join(f"{currency} ({rows:,} rows, from {day})" for currency, day, rows in found)
