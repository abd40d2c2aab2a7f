"""The rules that one row must meet, as data: the source of the validated contract and of every quarantine message.

A rule that needs other rows (duplicates, references, running quantities) is named here, so that names and order
are stated once, and judged in ``returnml.warehouse.ingest.validate``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from returnml.attributes import UNREADABLE
from returnml.contracts.columns import INSPECTIONS, ORDERS, RETURNS, DeliveredStream, Kind
from returnml.features.sets import shop
from returnml.ledger import validator
from returnml.ledger.conversion import RATE_MISSING

EARLIEST, LATEST = validator.EARLIEST.replace(tzinfo=None), datetime(2100, 1, 1)
"""Times outside are absurd, whatever the clock says."""


@dataclass(frozen=True)
class Rule:
    """One rule of a stream.

    Attributes:
        column: the column that is at fault.
        broken: true where the row breaks it (null counts as false); None where it needs other rows or ``is_nullable``.
        checked_on: the column of the contract that carries the check; the rule is not judged where that column is
            absent (``uncast`` and ``is_imported`` exist in raw tables only). Default: ``column``.
    """

    name: str
    column: str
    message: str
    broken: pl.Expr | None = None
    checked_on: str | None = None


def rules(stream: DeliveredStream) -> tuple[Rule, ...]:
    """All rules in order of precedence: the first that a row breaks names its quarantine."""
    return (*_CAST, *_present(stream), *_values(stream), *_times(stream), *_widths(stream), *_OTHER_ROWS[stream.name])


def row_rules(stream: DeliveredStream) -> tuple[Rule, ...]:
    """The rules that a row breaks by itself."""
    return tuple(r for r in rules(stream) if r.broken is not None)


def rule_ranks(stream: DeliveredStream) -> dict[str, int]:
    """The precedence of each rule: the lowest that a row breaks names its quarantine."""
    ranks: dict[str, int] = {}
    for rule in rules(stream):
        ranks.setdefault(rule.name, len(ranks))
    return ranks


def rule_texts(stream: DeliveredStream) -> pl.DataFrame:
    """``rank``, ``rule``, ``column_name``, ``text`` of each rule; the texts of one name are joined."""
    ranks = rule_ranks(stream)
    frame = pl.DataFrame(
        [{"rank": ranks[r.name], "rule": r.name, "column_name": r.column, "text": r.message} for r in rules(stream)]
    )
    joined = frame.group_by("rank", "rule", "column_name", maintain_order=True).agg(pl.col("text").str.join(" and "))
    return joined.with_columns(pl.col("rank").cast(pl.Int32))


def missing(column: str) -> str:
    """The name of the rule that a required value is there."""
    return f"{column}_missing"


_CAST = (Rule("not_castable", "uncast", "cannot be read as the declared type", pl.col("uncast").is_not_null(), "uncast"),)


def _present(stream: DeliveredStream) -> tuple[Rule, ...]:
    return tuple(
        Rule(missing(c.name), c.name, "a value is required", _is_missing(c.name, c.kind))
        for c in stream.columns
        if not c.is_nullable
    )


def _is_missing(name: str, kind: Kind) -> pl.Expr:
    column = pl.col(name)
    return column.is_null() | (column.str.strip_chars() == "") if kind is Kind.STRING else column.is_null()


def _values(stream: DeliveredStream) -> tuple[Rule, ...]:
    found: list[Rule] = []
    if stream in (ORDERS, RETURNS):
        found.append(Rule("quantity_not_positive", "quantity", "must be at least 1", pl.col("quantity") < 1))
        iso = pl.col("currency").str.contains(r"^[A-Z]{3}$")
        found.append(Rule("not_goods", "is_goods", "postage, fees and discounts are no goods", ~pl.col("is_goods")))
        found.append(Rule("currency_unknown", "currency", "must be an ISO 4217 code", ~iso & (pl.col("currency") != "")))
    if stream is ORDERS:
        price = pl.col("unit_price_cents")
        found.append(Rule("unit_price_not_positive", "unit_price_cents", "must be above 0", price < 1))
        found.append(Rule("list_price_negative", "list_price_cents", "must be at least 0", pl.col("list_price_cents") < 0))
    if stream is RETURNS:
        found.append(Rule("refund_negative", "refund_cents", "must be at least 0", pl.col("refund_cents") < 0))
    if stream is INSPECTIONS:
        known = pl.col("verdict").is_in(validator.VERDICTS)
        message = f"must be one of {', '.join(validator.VERDICTS)}"
        found.append(Rule("verdict_unknown", "verdict", message, ~known & (pl.col("verdict").str.strip_chars() != "")))
    return tuple(found)


def _times(stream: DeliveredStream) -> tuple[Rule, ...]:
    name = stream.time_column
    at, imported = pl.col(name), pl.col("is_imported")
    other_day = imported & (at.dt.date() != pl.col("known_day"))
    after_delivery = ~imported & (at > pl.col("known_at"))
    return (
        Rule("outside_landing_day", name, "must lie on the UTC day that was delivered", other_day, "is_imported"),
        Rule("time_in_future", name, f"must lie before {LATEST:%Y}", at >= LATEST),
        Rule("time_in_future", name, "must not lie after its delivery", after_delivery, "is_imported"),
        Rule("time_too_early", name, f"must not lie before {EARLIEST:%Y}", at < EARLIEST),
    )


def _widths(stream: DeliveredStream) -> tuple[Rule, ...]:
    """Magnitudes that the feature engines are built for (``Stream.columns`` of the feature declarations)."""
    if stream is ORDERS:
        quantity, value = (shop.ORDERS.columns[c] for c in ("quantity", "line_value_cents"))
        price = pl.col("unit_price_cents")
        # floor division keeps the product within 64 bits: quantity * price >= 2**value is price > (2**value - 1) // quantity
        pieces = pl.col("quantity")
        too_valuable = (pieces > 0) & (price > (2**value - 1) // pieces)
        return (
            _too_large("quantity", quantity),
            Rule("line_value_too_large", "unit_price_cents", f"times quantity must be below 2^{value} minor units", too_valuable),
        )
    if stream is RETURNS:
        return tuple(_too_large(c, shop.RETURNS.columns[c]) for c in ("quantity", "refund_cents"))
    return ()


def _too_large(column: str, bits: int) -> Rule:
    return Rule(f"{column.removesuffix('_cents')}_too_large", column, f"must be below 2^{bits}", pl.col(column) >= 2**bits)


_NO_RATE = Rule(RATE_MISSING, "currency", "no exchange rate of it was known then that is young enough: record it")
_OTHER_CURRENCY = Rule(validator.CURRENCY_DIFFERS, "currency", "is not the shop's: different currencies are never added")
_DUPLICATE_LINE = "equals an earlier row in all columns but the id"
_DUPLICATE_ID = "was delivered before"

_OTHER_ROWS: dict[str, tuple[Rule, ...]] = {
    "orders": (
        _NO_RATE,
        _OTHER_CURRENCY,
        Rule("duplicate_line", "line_id", _DUPLICATE_LINE),
        Rule("duplicate_id", "line_id", _DUPLICATE_ID),
        Rule(UNREADABLE, "extra", "cannot be read as the attribute that it is declared as"),
    ),
    "returns": (
        _NO_RATE,
        _OTHER_CURRENCY,
        Rule("duplicate_line", "return_id", _DUPLICATE_LINE),
        Rule("unknown_order_line", "line_id", "is not known, and customer and article are not given"),
        Rule("return_before_order", "returned_at", "lies before the order"),
        Rule("duplicate_id", "return_id", _DUPLICATE_ID),
        Rule("return_larger_than_order", "quantity", "is more than what is left of the order line"),
    ),
    "inspections": (
        Rule("duplicate_line", "inspection_id", _DUPLICATE_LINE),
        Rule("unknown_return", "return_id", "is not a known return"),
        Rule("inspection_before_return", "inspected_at", "lies before the return"),
        Rule("duplicate_id", "inspection_id", _DUPLICATE_ID),
    ),
}
