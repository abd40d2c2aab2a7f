"""The shop's streams, and the aggregations and derived features that its feature sets have in common.

Aggregates over ``outcomes`` are return *rates* that young lines do not dilute; those over ``orders`` and ``returns``
are raw recent activity. Must not be here: feature sets, which choose from this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from returnml.features.declarations import Aggregation, Derived, KeyGroup, Operation, Stream
from returnml.features.expressions import Expr
from returnml.features.windows import DAY_US, Window

ORDERS = Stream("orders", "core.orders", {"quantity": 24, "line_value_cents": 36}, texts=("payment_method",))
RETURNS = Stream("returns", "core.returns", {"quantity": 24, "refund_cents": 36})
OUTCOMES = Stream("outcomes", "core.outcomes", {"returned": 1, "returned_quantity": 24, "refund_cents": 36}, is_derived=True)

PRIOR_RETURN_RATE = 0.1
PRIOR_STRENGTH = 10.0


def count(stream: Stream, *windows: str, is_feature: bool = True) -> Aggregation:
    return Aggregation(stream, Operation.COUNT, None, _parsed(windows), is_feature)


def sum_of(stream: Stream, column: str, *windows: str, is_feature: bool = True) -> Aggregation:
    return Aggregation(stream, Operation.SUM, column, _parsed(windows), is_feature)


def distinct(stream: Stream, column: str, *windows: str) -> Aggregation:
    return Aggregation(stream, Operation.DISTINCT, column, _parsed(windows))


def since_last(stream: Stream) -> Aggregation:
    """An input of ``days_since``."""
    return Aggregation(stream, Operation.SINCE_LAST, None, _parsed(("lifetime",)), is_feature=False)


def activity(*windows: str) -> tuple[Aggregation, ...]:
    """Counts, pieces and money of orders and returns."""
    return (
        count(ORDERS, *windows),
        sum_of(ORDERS, "quantity", *windows),
        sum_of(ORDERS, "line_value_cents", *windows),
        count(RETURNS, *windows),
        sum_of(RETURNS, "quantity", *windows),
        sum_of(RETURNS, "refund_cents", *windows),
    )


def counts(*windows: str) -> tuple[Aggregation, ...]:
    return (count(ORDERS, *windows), count(RETURNS, *windows))


def outcomes(*windows: str) -> tuple[Aggregation, ...]:
    """Inputs of ``return_rates``."""
    return (count(OUTCOMES, *windows, is_feature=False), sum_of(OUTCOMES, "returned", *windows, is_feature=False))


def recency() -> tuple[Aggregation, ...]:
    """When a customer was last seen (inputs of ``days_since``), and what is ordered within a day."""
    return (
        since_last(ORDERS),
        since_last(RETURNS),
        count(ORDERS, "5m", "1h", "24h"),
        sum_of(ORDERS, "line_value_cents", "5m", "1h", "24h"),
        distinct(ORDERS, "payment_method", "1h", "24h"),
    )


def smoothed_rate(returned: Expr, lines: Expr) -> Expr:
    return (returned + PRIOR_RETURN_RATE * PRIOR_STRENGTH) / (lines + PRIOR_STRENGTH)


def ratio(numerator: Expr, denominator: Expr) -> Expr:
    return numerator / denominator


def return_rates(groups: Iterable[KeyGroup]) -> tuple[Derived, ...]:
    """A smoothed return rate for every window of outcomes of every group."""
    return tuple(
        Derived(
            f"{group}_return_rate_{window}",
            (f"{group}_outcomes_returned_sum_{window}", f"{group}_outcomes_count_{window}"),
            smoothed_rate,
            f"Share of the {group}'s matured lines that came back ({window}), smoothed.",
        )
        for group, window in _counted(OUTCOMES, groups)
    )


def returns_per_order(groups: Iterable[KeyGroup]) -> tuple[Derived, ...]:
    """Returns seen per line ordered, smoothed: fresher than the rates over outcomes, though young lines dilute it."""
    return tuple(
        Derived(
            f"{group}_returns_per_order_{window}",
            (f"{group}_returns_count_{window}", f"{group}_orders_count_{window}"),
            smoothed_rate,
            f"Returns of the {group} per line ordered ({window}), smoothed; young lines included.",
        )
        for group, window in _counted(RETURNS, groups)
    )


def days_since(groups: Iterable[KeyGroup]) -> tuple[Derived, ...]:
    return tuple(
        Derived(
            f"{group.name}_{aggregation.stream.name}_since_last_days",
            (f"{group.name}_{aggregation.stream.name}_since_last_us",),
            lambda since_us: since_us / float(DAY_US),
            f"Days since the {group.name}'s last event in {aggregation.stream.name}.",
        )
        for group in groups
        for aggregation in group.aggregations
        if aggregation.operation is Operation.SINCE_LAST
    )


def _counted(stream: Stream, groups: Iterable[KeyGroup]) -> Iterator[tuple[str, str]]:
    """The names of every group and window over which the stream's events are counted."""
    for group in groups:
        for aggregation in group.aggregations:
            if aggregation.stream is stream and aggregation.operation is Operation.COUNT:
                yield from ((group.name, window.name) for window in aggregation.windows)


def _parsed(windows: Iterable[str]) -> tuple[Window, ...]:
    return tuple(Window.parse(name) for name in windows)
