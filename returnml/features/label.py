"""The label of an order line: whether it came back in time, and when that is known.

One definition in integer microseconds; ``returnml.warehouse.ingest.outcomes`` states it as SQL. Both hold for the vectors of
``shared/conformance/labels.json``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from returnml.features.windows import DAY_US, floor_day
from returnml.settings import LabelSettings


@dataclass(frozen=True)
class ReturnEvent:
    """One return of a line; times are integer microseconds since the epoch (UTC).

    Attributes:
        is_cancellation: the order was cancelled before shipping: no return.
    """

    returned_at_us: int
    known_at_us: int
    quantity: int
    refund_cents: int = 0
    is_cancellation: bool = False


@dataclass(frozen=True)
class Label:
    """``y`` is 0 or 1; quantity and refund are of the returns that count."""

    y: int
    returned_quantity: int
    refund_cents: int


def mature_at(anchor_us: int, label: LabelSettings) -> int:
    """When the label of a line ordered at ``anchor_us`` is known, in microseconds.

    >>> mature_at(0, LabelSettings(window_days=30, grace_days=3)) == 33 * DAY_US
    True
    """
    return anchor_us + (label.window_days + label.grace_days) * DAY_US


def outcome_known_at(mature_at_us: int, line_known_at_us: int) -> int:
    """When the nightly job records the outcome: the start of the UTC day after both instants.

    >>> outcome_known_at(DAY_US, 5) == 2 * DAY_US
    True
    """
    return floor_day(max(mature_at_us, line_known_at_us)) + DAY_US


def label_of(anchor_us: int, returns: Iterable[ReturnEvent], label: LabelSettings) -> Label:
    """What the line's returns say, as far as they came back within the window and were known at maturity.

    >>> late = ReturnEvent(31 * DAY_US, 31 * DAY_US, 1)
    >>> label_of(0, [late, ReturnEvent(5 * DAY_US, 6 * DAY_US, 2, 1990)], LabelSettings())
    Label(y=1, returned_quantity=2, refund_cents=1990)
    """
    known_by = mature_at(anchor_us, label)
    counted = [
        r
        for r in returns
        if not r.is_cancellation and r.returned_at_us - anchor_us <= label.window_days * DAY_US and r.known_at_us <= known_by
    ]
    quantity = sum(r.quantity for r in counted)
    return Label(int(quantity > 0), quantity, sum(r.refund_cents for r in counted))
