"""A fixed shop: the same rows on every machine and in every version, made by arithmetic alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

FIRST = date(2024, 2, 10)
DAYS = 75
LAST = FIRST + timedelta(days=DAYS - 1)
SIZES = ("XS", "S", "M", "l", "XL", "2XL", "38", "38,5", "40", "42.5", "one size", None)
REASONS = ("too_small", "zu groß", "too large", "broken", None, "changed my mind")
PAYMENTS = ("invoice", "card", None, "paypal")
COUNTRIES = ("DE", "AT", "FR")
GROUPS = ("shoes", "dresses", None)
VERDICTS = ("as_new", "worn", "empty_box", "damaged")


class Draws:
    """Numbers that look random: Knuth's linear congruence, so that no library's version matters.

    >>> draws = Draws(1)
    >>> [draws.below(10) for _ in range(5)]
    [4, 3, 6, 0, 4]
    """

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, end: int) -> int:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self._state >> 33) % end

    def of(self, values: tuple[Any, ...]) -> Any:
        return values[self.below(len(values))]


def order_lines() -> Iterator[dict[str, Any]]:
    """Four or five orders a day of one to three lines, at odd instants, by fourteen customers, of twenty articles."""
    draws = Draws(20240210)
    for day in range(DAYS):
        for number in range(4 + draws.below(2)):
            at = datetime(FIRST.year, FIRST.month, FIRST.day) + timedelta(
                days=day, seconds=draws.below(86_400), microseconds=draws.below(1_000_000)
            )
            order_id = f"o{day:02}-{number}"
            shared = {
                "order_id": order_id,
                "ordered_at": at,
                "customer_id": f"c{draws.below(14)}",
                "currency": "EUR",
                "country": draws.of(COUNTRIES),
                "payment_method": draws.of(PAYMENTS),
                "device": draws.of(("web", "app", None)),
                "voucher_code": draws.of((None, None, "SALE")),
            }
            for line in range(1 + draws.below(3)):
                article = draws.below(20)
                price = 500 + 100 * draws.below(150)
                yield shared | {
                    "line_id": f"{order_id}-{line}",
                    "article_id": f"a{article}",
                    "quantity": 1 + draws.below(3),
                    "unit_price_cents": price,
                    "list_price_cents": draws.of((None, price, price + 1_000)),
                    "size": draws.of(SIZES),
                    "color": draws.of(("red", "blue", None)),
                    "product_group": GROUPS[article % 3],
                    "brand": f"b{article % 4}",
                }


def returns(lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of every third line something comes back within 40 days; some twice, some without saying of which line."""
    draws = Draws(7)
    for line in lines:
        for part in range((draws.below(3) == 0) + (draws.below(12) == 0)):
            at = line["ordered_at"] + timedelta(minutes=1 + draws.below(40 * 24 * 60), microseconds=draws.below(1_000_000))
            if at.date() > LAST or part >= line["quantity"]:
                continue
            is_orphan = draws.below(15) == 0
            yield {
                "return_id": f"r-{line['line_id']}-{part}",
                "returned_at": at,
                "quantity": 1,
                "refund_cents": line["unit_price_cents"],
                "currency": "EUR",
                "line_id": None if is_orphan else line["line_id"],
                "customer_id": line["customer_id"] if is_orphan else None,
                "article_id": line["article_id"] if is_orphan else None,
                "reason": draws.of(REASONS),
            }


def inspections(sent_back: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Nearly every return is looked at within three days."""
    draws = Draws(11)
    for row in sent_back:
        at = row["returned_at"] + timedelta(hours=1 + draws.below(72))
        if draws.below(10) and at.date() <= LAST:
            yield {
                "inspection_id": f"i-{row['return_id']}",
                "return_id": row["return_id"],
                "inspected_at": at,
                "verdict": draws.of(VERDICTS),
            }
