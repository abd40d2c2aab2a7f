"""From an accepted event to rows of the declared streams, with the keys that the batch line gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from returnml.features import fit_codes
from returnml.features.declarations import KeyGroup
from returnml.features.sets.shop import KEY_COLUMNS
from returnml.instants import instant_us
from returnml.ledger.events import OrderLine, OrderPlaced, ReturnReceived
from returnml.ledger.validator import WaitingReturn, is_named

ORDERS_TABLE, RETURNS_TABLE = "core.orders", "core.returns"

Row = tuple[str, Mapping[str, Any]]
"""A stream's table and the row's columns."""


def line_keys(groups: Iterable[KeyGroup]) -> tuple[str, ...]:
    """The columns by which what is known later of an order line is counted: every shop's, then the categories of its own."""
    keys = [key for group in groups for key in group.keys]
    return tuple(dict.fromkeys((*KEY_COLUMNS, *(key for key in keys if key != "line_id"))))


class StoredLine(msgspec.Struct, array_like=True, frozen=True):
    """What the store knows of an order line; ``keys`` in the order of ``line_keys``."""

    ordered_at_us: int
    quantity: int
    returned_quantity: int
    keys: tuple[str | None, ...]


def order_rows(event: OrderPlaced, names: Sequence[str] = KEY_COLUMNS) -> Iterator[tuple[Row, StoredLine]]:
    """One row a line, in the order of ``seq`` in batch: by line id.

    Args:
        names: see ``line_keys``.
    """
    own = names[len(KEY_COLUMNS) :]
    ordered_at_us = instant_us(event.occurred_at)
    for line in sorted(event.lines, key=lambda line: line.line_id):
        keys = (
            event.customer_id, line.article_id, line.size, line.color, line.product_group, line.brand,
            event.country, event.payment_method, event.device, *_categories(event, line, own),
        )  # fmt: skip
        columns: dict[str, Any] = dict(zip(names, keys, strict=True))
        columns["line_id"] = line.line_id
        columns["quantity"] = line.quantity
        columns["line_value_cents"] = line.quantity * line.unit_price_cents
        columns |= fit_codes.order_columns(line.size)
        yield (ORDERS_TABLE, columns), StoredLine(ordered_at_us, line.quantity, 0, keys)


def _categories(event: OrderPlaced, line: OrderLine, names: Sequence[str]) -> list[str | None]:
    """The values of the shop's own categories; the empty text is none."""
    sent = {**(event.attributes or {}), **(line.attributes or {})}
    values = [sent.get(name) for name in names]
    return [value if isinstance(value, str) and value else None for value in values]


def return_row(event: ReturnReceived, line: StoredLine | None, names: Sequence[str] = KEY_COLUMNS) -> Row:
    """A return with its line's keys; an orphan (``line`` is None) has the customer and article, if it names both."""
    none: tuple[str | None, ...] = (None,) * len(names)
    own = (event.customer_id, event.article_id, *none[2:]) if is_named(event) else none
    return _return_columns(names, own if line is None else line.keys, event.quantity, event.refund_cents, event.reason)


def linked_row(waiting: WaitingReturn, line: StoredLine, names: Sequence[str] = KEY_COLUMNS) -> Row:
    """What a return that waited adds when its line comes: the line's keys, but those that it named and counts by already."""
    keys = (None, None, *line.keys[2:]) if waiting.is_named else line.keys
    return _return_columns(names, keys, waiting.quantity, waiting.refund_cents, waiting.reason)


def waiting_return(event: ReturnReceived) -> WaitingReturn:
    """What is kept of an orphan until its line comes."""
    at_us = instant_us(event.occurred_at)
    return WaitingReturn(event.return_id, at_us, event.quantity, event.refund_cents, event.reason, is_named(event))


def _return_columns(
    names: Sequence[str], keys: Sequence[str | None], quantity: int, refund_cents: int, reason: str | None
) -> Row:
    columns: dict[str, Any] = dict(zip(names, keys, strict=True))
    columns["quantity"] = quantity
    columns["refund_cents"] = refund_cents
    columns |= fit_codes.return_columns(reason)
    return RETURNS_TABLE, columns
