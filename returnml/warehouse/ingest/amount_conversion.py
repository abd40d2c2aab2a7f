"""Amounts of landed rows in the shop's currency, as events have theirs already (``ledger.conversion``).

Before they are judged, so that every rule about amounts sees what is summed. What was delivered stays beside it.
"""

from __future__ import annotations

from datetime import date

import duckdb
import polars as pl

from returnml.contracts.columns import ORDERS, DeliveredStream
from returnml.contracts.rules import rule_ranks
from returnml.exchange.rates import Rates
from returnml.instants import day_us
from returnml.ledger.conversion import RATE_MISSING
from returnml.warehouse.ingest.raw_events import TABLE
from returnml.warehouse.ingest.schema import AMOUNTS, sent_columns
from returnml.warehouse.partition import registered


def convert_candidates(con: duckdb.DuckDBPyConnection, stream: DeliveredStream, rates: Rates | None, into: str | None) -> None:
    """Give ``candidate`` the columns of ``sent_columns`` and amounts in the shop's currency; mark rows without a rate.

    Args:
        rates: None, or without any: landed rows stay as they are.
        into: the shop's currency.
    """
    if stream.name not in AMOUNTS:
        return
    if not (rates and rates.currencies) and not _has_conversions(con):
        for name, sql_type in sent_columns(stream).items():
            con.execute(f"ALTER TABLE candidate ADD COLUMN {name} {sql_type}")
        return
    names = AMOUNTS[stream.name]
    factors = _factors(rates)
    with registered(con, "factor", factors):
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE candidate AS
            WITH held AS (
                SELECT c.*, f.numerator, f.denominator, f.rate AS held_rate, f.day AS held_day,
                    c.ledger_seq IS NULL AND c.currency <> $into AND c.currency IN (SELECT currency FROM factor) AS is_foreign
                FROM candidate c ASOF LEFT JOIN factor f ON c.currency = f.currency AND c.known_at > f.known_at
            ), used AS (
                SELECT *, is_foreign AND numerator IS NOT NULL
                    AND (known_at::DATE - held_day) <= $max_age_days AS is_converted FROM held
            ), landed AS (
                SELECT * EXCLUDE (numerator, denominator, held_rate, held_day, is_foreign, is_converted)
                    REPLACE ({", ".join(in_shops_currency(name) for name in names)},
                        CASE WHEN is_converted THEN $into ELSE currency END AS currency),
                    is_foreign AND NOT is_converted AS has_no_rate,
                    CASE WHEN is_converted THEN currency END AS sent_currency,
                    {", ".join(f"CASE WHEN is_converted THEN {name} END AS sent_{name}" for name in names)},
                    CASE WHEN is_converted THEN held_rate END AS exchange_rate,
                    CASE WHEN is_converted THEN held_day END AS exchange_day
                FROM used
            )
            SELECT l.* REPLACE ({", ".join(_as_the_ledger_has_it(stream))}) FROM landed l
            LEFT JOIN {TABLE} e ON e.seq = l.ledger_seq AND e.known_day = l.known_day AND e.conversion IS NOT NULL
            ORDER BY pos
            """,
            {"into": into, "max_age_days": rates.max_age_days if rates else 0},
        )
    con.execute("INSERT INTO broken SELECT pos, ? FROM candidate WHERE has_no_rate", [rule_ranks(stream)[RATE_MISSING]])


def rates_until(rates: Rates | None, day: date) -> list[str]:
    """What a day's conversions depend on, as texts for the hash of its inputs: the rates known by its end."""
    if rates is None:
        return []
    end_us = day_us(date.fromordinal(day.toordinal() + 1))
    return [f"{c} {h.day} {h.numerator}/{h.denominator} {h.known_at_us}" for c, h in rates.held() if h.known_at_us < end_us]


def _has_conversions(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether any candidate is of an event whose amounts were converted."""
    found = con.execute(
        f"SELECT 1 FROM candidate c JOIN {TABLE} e ON e.seq = c.ledger_seq AND e.known_day = c.known_day "
        "WHERE e.conversion IS NOT NULL LIMIT 1"
    ).fetchall()
    return bool(found)


def _factors(rates: Rates | None) -> pl.DataFrame:
    held = list(rates.held()) if rates else []
    return pl.DataFrame(
        {
            "currency": [currency for currency, _ in held],
            "known_at": [one.known_at_us for _, one in held],
            "day": [one.day for _, one in held],
            "rate": [one.rate.as_written for _, one in held],
            "numerator": [one.numerator for _, one in held],
            "denominator": [one.denominator for _, one in held],
        },
        schema={
            "currency": pl.String,
            "known_at": pl.Datetime("us"),
            "day": pl.Date,
            "rate": pl.String,
            "numerator": pl.Int64,
            "denominator": pl.Int64,
        },
    )


def in_shops_currency(name: str) -> str:
    """Ties to even, as ``exchange.rates.Held.convert``; what 64 bits do not hold is the largest amount, which rules refuse."""
    whole = f"(abs({name}::HUGEINT) * numerator) // denominator"
    rest = f"(abs({name}::HUGEINT) * numerator) % denominator"
    up = f"CASE WHEN 2 * ({rest}) > denominator OR (2 * ({rest}) = denominator AND ({whole}) % 2 = 1) THEN 1 ELSE 0 END"
    exact = f"sign({name}) * (({whole}) + {up})"
    most = (1 << 63) - 1
    fits = f"CASE WHEN {exact} > {most}::HUGEINT THEN {most} ELSE ({exact})::BIGINT END"  # ``least`` passes over a null
    return f"CASE WHEN is_converted THEN {fits} ELSE {name} END AS {name}"


def _as_the_ledger_has_it(stream: DeliveredStream) -> list[str]:
    at = "2 * (l.row_number - 1)" if stream is ORDERS else "0"
    amounts = {
        f"sent_{name}": f"json_extract(e.conversion, '$.amounts[' || ({at} + {i}) || ']')"
        for i, name in enumerate(AMOUNTS[stream.name])
    }
    rate = "json_extract_string(e.conversion, '$.rate')"
    values = {
        "sent_currency": "json_extract_string(e.conversion, '$.currency')",
        **{name: f"nullif({value}, 'null')::BIGINT" for name, value in amounts.items()},
        "exchange_rate": f"CASE WHEN (e.conversion->>'is_inverse')::BOOLEAN THEN '1/' || {rate} ELSE {rate} END",
        "exchange_day": "(e.conversion->>'day')::DATE",
    }
    return [f"CASE WHEN e.seq IS NULL THEN l.{name} ELSE {value} END AS {name}" for name, value in values.items()]
