"""The columns of each delivered stream, as data: the one source for importers, contracts and table definitions.

Times are UTC instants with microseconds; money is integer minor units; ids are strings. A *required* column must be
in every delivered file; an optional one that is absent reads as null. Columns not listed here are carried in
``extra`` (JSON) and reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a column's values are read as."""

    STRING = "string"
    INTEGER = "integer"
    TIMESTAMP = "timestamp"
    BOOLEAN = "boolean"


@dataclass(frozen=True)
class Column:
    """One column of a delivered stream.

    Attributes:
        is_required: every delivered file has it.
        is_nullable: a row may be without a value.
    """

    name: str
    kind: Kind
    description: str
    is_required: bool = False
    is_nullable: bool = True


def _key(name: str, description: str, kind: Kind = Kind.STRING) -> Column:
    return Column(name, kind, description, is_required=True, is_nullable=False)


@dataclass(frozen=True)
class DeliveredStream:
    """One kind of landing file.

    Attributes:
        id_column: unique within the stream.
        time_column: when it happened in the world; its UTC day is the landing day of imported history.
    """

    name: str
    id_column: str
    time_column: str
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)


ORDERS = DeliveredStream(
    "orders",
    "line_id",
    "ordered_at",
    (
        _key("line_id", "The order line; unique over the shop."),
        _key("order_id", "The order that the line belongs to."),
        _key("ordered_at", "When it was ordered.", Kind.TIMESTAMP),
        _key("customer_id", "Who ordered."),
        _key("article_id", "What was ordered."),
        _key("quantity", "Pieces, at least 1.", Kind.INTEGER),
        _key("unit_price_cents", "Price paid for one piece, minor units, above 0.", Kind.INTEGER),
        _key("currency", "ISO 4217 code."),
        Column("size", Kind.STRING, "Size of the article."),
        Column("color", Kind.STRING, "Colour of the article."),
        Column("product_group", Kind.STRING, "The article's product group."),
        Column("brand", Kind.STRING, "The article's brand."),
        Column("list_price_cents", Kind.INTEGER, "List price of one piece, minor units."),
        Column("voucher_code", Kind.STRING, "Voucher used on the order."),
        Column("payment_method", Kind.STRING, "How the order is paid."),
        Column("device", Kind.STRING, "Where the order was placed: app, web, phone."),
        Column("country", Kind.STRING, "Country of delivery."),
        Column("is_goods", Kind.BOOLEAN, "False for postage, fees and discounts: such rows are no order lines."),
        Column("is_returned", Kind.BOOLEAN, "Only where a shop has a flag per line and no return records."),
    ),
)

RETURNS = DeliveredStream(
    "returns",
    "return_id",
    "returned_at",
    (
        _key("return_id", "The return; unique over the shop."),
        _key("returned_at", "When the goods came back.", Kind.TIMESTAMP),
        _key("quantity", "Pieces that came back, at least 1.", Kind.INTEGER),
        _key("refund_cents", "Refund, minor units, at least 0.", Kind.INTEGER),
        _key("currency", "ISO 4217 code."),
        Column("line_id", Kind.STRING, "The order line; null where the shop cannot say.", is_required=True),
        Column("customer_id", Kind.STRING, "Who returned; needed where line_id is null or unknown."),
        Column("article_id", Kind.STRING, "What came back; needed where line_id is null or unknown."),
        Column("reason", Kind.STRING, "The customer's reason."),
        Column("is_goods", Kind.BOOLEAN, "False for credited postage, fees and discounts: such rows are no returns."),
        Column("is_cancellation", Kind.BOOLEAN, "Whole-order cancellation before shipping: no return."),
    ),
)

INSPECTIONS = DeliveredStream(
    "inspections",
    "inspection_id",
    "inspected_at",
    (
        _key("inspection_id", "The inspection; unique over the shop."),
        _key("return_id", "The return that was inspected."),
        _key("inspected_at", "When the verdict was given.", Kind.TIMESTAMP),
        _key("verdict", "as_new, worn, damaged, empty_box or wrong_article."),
    ),
)

ABUSE_VERDICTS = ("worn", "empty_box")
"""Those that say what the customer did: wore the goods, or kept them. What is damaged the carrier may have damaged, and a wrong
article may have been packed."""

OPEN_FLAG = "is_return_flag_open"
"""Additional column of shops with ``is_returned``: true where the flag was not final when the file was written (and is null)."""

TRUE_WORDS, FALSE_WORDS = ("true", "1", "yes", "y", "t"), ("false", "0", "no", "n", "f")
"""Texts that are read as booleans, in any case, where nothing else is declared."""

STREAMS: dict[str, DeliveredStream] = {s.name: s for s in (ORDERS, RETURNS, INSPECTIONS)}
