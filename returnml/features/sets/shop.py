"""The shop's streams, and the aggregations and derived features that its feature sets have in common.

Aggregates over ``outcomes`` are return *rates* that young lines do not dilute; those over ``orders`` and ``returns``
are raw recent activity. Must not be here: feature sets, which choose from this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from returnml.features import fit_codes
from returnml.features.declarations import Aggregation, Derived, InputKind, KeyGroup, Operation, RequestInput, Stream
from returnml.features.expressions import Expr
from returnml.features.windows import DAY_US, Window

ORDERS = Stream(
    "orders",
    "core.orders",
    {
        "quantity": 24,
        "line_value_cents": 36,
        "letter_size": fit_codes.LETTER_BITS,
        "has_letter_size": 1,
        "number_size": fit_codes.NUMBER_BITS,
        "has_number_size": 1,
    },
    texts=("payment_method",),
)
RETURNS = Stream("returns", "core.returns", {"quantity": 24, "refund_cents": 36, "is_too_small": 1, "is_too_large": 1})
OUTCOMES = Stream("outcomes", "core.outcomes", {"returned": 1, "returned_quantity": 24, "refund_cents": 36}, is_derived=True)
INSPECTIONS = Stream("inspections", "core.inspections", {"is_abuse": 1})

EVENT_STREAMS = (ORDERS, RETURNS)
"""Those that events add to in the online store, as they come; derived ones it has as of its cut-off, others not at all."""

KEY_COLUMNS = ("customer_id", "article_id", "size", "color", "product_group", "brand", "country", "payment_method", "device")
"""An order line's keys, which what is known of it later copies: returns, inspections, outcomes."""

LINE_INPUTS = (
    RequestInput("unit_price_cents", InputKind.INTEGER, "Price of one piece, minor units.", "unit_price_cents", family="price"),
    RequestInput(
        "list_price_cents",
        InputKind.INTEGER,
        "List price of one piece, minor units.",
        "list_price_cents",
        is_feature=False,
        family="price",
    ),
    RequestInput(
        "line_value_cents", InputKind.INTEGER, "Quantity times price, minor units.", "line_value_cents", family="order_value"
    ),
    RequestInput("has_voucher", InputKind.PRESENT, "Whether a voucher was used on the order.", "voucher_code", family="voucher"),
)
"""What an order line says of itself, besides its pieces."""
DAY_OF_WEEK = RequestInput("day_of_week", InputKind.DAY_OF_WEEK, "Weekday of the moment, UTC, Monday = 0.", family="time")
CLOCK_INPUTS = (RequestInput("hour_of_day", InputKind.HOUR_OF_DAY, "Hour of the moment, UTC.", family="time"), DAY_OF_WEEK)

PRIOR_RETURN_RATE = 0.1
PRIOR_STRENGTH = 10.0


def count(stream: Stream, *windows: str, is_feature: bool = True, family: str | None = None) -> Aggregation:
    """The number of events in each window."""
    return Aggregation(stream, Operation.COUNT, None, _parsed(windows), is_feature, family)


def sum_of(stream: Stream, column: str, *windows: str, is_feature: bool = True, family: str | None = None) -> Aggregation:
    """The sum of a column in each window."""
    return Aggregation(stream, Operation.SUM, column, _parsed(windows), is_feature, family)


def sum_of_squares(stream: Stream, column: str, *windows: str, is_feature: bool = True, family: str | None = None) -> Aggregation:
    """The sum of a column's squares in each window."""
    return Aggregation(stream, Operation.SUM_OF_SQUARES, column, _parsed(windows), is_feature, family)


def distinct(stream: Stream, column: str, *windows: str, family: str | None = None) -> Aggregation:
    """How many different values a column has in each window."""
    return Aggregation(stream, Operation.DISTINCT, column, _parsed(windows), family=family)


def since_last(stream: Stream, family: str | None = None) -> Aggregation:
    """An input of ``days_since``."""
    return Aggregation(stream, Operation.SINCE_LAST, None, _parsed(("lifetime",)), is_feature=False, family=family)


def activity(*windows: str, orders: str | None = None) -> tuple[Aggregation, ...]:
    """Counts, pieces and money of orders, whose family may be named, and of returns."""
    return (
        count(ORDERS, *windows, family=orders),
        sum_of(ORDERS, "quantity", *windows, family=orders),
        sum_of(ORDERS, "line_value_cents", *windows, family=orders),
        count(RETURNS, *windows),
        sum_of(RETURNS, "quantity", *windows),
        sum_of(RETURNS, "refund_cents", *windows),
    )


def counts(*windows: str) -> tuple[Aggregation, ...]:
    """Order lines and returns."""
    return (count(ORDERS, *windows), count(RETURNS, *windows))


def outcomes(*windows: str) -> tuple[Aggregation, ...]:
    """Inputs of ``return_rates``."""
    return (count(OUTCOMES, *windows, is_feature=False), sum_of(OUTCOMES, "returned", *windows, is_feature=False))


def recency(orders: str | None = None, rapid: str | None = None) -> tuple[Aggregation, ...]:
    """When a customer was last seen (inputs of ``days_since``), and what is ordered within a day.

    Args:
        orders, rapid: families of the last order, and of what is ordered within a day.
    """
    return (
        since_last(ORDERS, orders),
        since_last(RETURNS),
        count(ORDERS, "5m", "1h", "24h", family=rapid),
        sum_of(ORDERS, "line_value_cents", "5m", "1h", "24h", family=rapid),
        distinct(ORDERS, "payment_method", "1h", "24h", family=rapid),
    )


def sizes(window: str) -> tuple[Aggregation, ...]:
    """Inputs of ``size_against_customer`` and ``size_spread``."""
    return (
        *(sum_of(ORDERS, column, window, is_feature=False, family="size") for column in fit_codes.order_columns(None)),
        sum_of_squares(ORDERS, "letter_size", window, is_feature=False, family="size"),
    )


def size_reasons(window: str) -> tuple[Aggregation, ...]:
    """Inputs of ``size_complaints``."""
    columns = fit_codes.return_columns(None)
    return tuple(sum_of(RETURNS, column, window, is_feature=False, family="article_cut") for column in columns)


def smoothed_rate(returned: Expr, lines: Expr) -> Expr:
    """Returns per line, as if ``PRIOR_STRENGTH`` lines more had come back at the prior rate."""
    return (returned + PRIOR_RETURN_RATE * PRIOR_STRENGTH) / (lines + PRIOR_STRENGTH)


def ratio(numerator: Expr, denominator: Expr) -> Expr:
    """Missing where there is nothing to divide by."""
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
        for group, window, _ in _counted(OUTCOMES, groups)
    )


def returns_per_order(groups: Iterable[KeyGroup]) -> tuple[Derived, ...]:
    """Returns seen per line ordered, smoothed: fresher than the rates over outcomes, though young lines dilute it.

    They are of the family of the returns.
    """
    return tuple(
        Derived(
            f"{group}_returns_per_order_{window}",
            (f"{group}_returns_count_{window}", f"{group}_orders_count_{window}"),
            smoothed_rate,
            f"Returns of the {group} per line ordered ({window}), smoothed; young lines included.",
            family=family,
        )
        for group, window, family in _counted(RETURNS, groups)
    )


def size_against_customer(scale: str, window: str) -> Derived:
    """How far a line's size on a scale (``letter`` or ``number``) lies from what the customer usually orders on it."""
    return Derived(
        f"{scale}_size_against_customer_{window}",
        (
            f"{scale}_size",
            f"customer_orders_{scale}_size_sum_{window}",
            f"customer_orders_has_{scale}_size_sum_{window}",
        ),
        lambda size, total, lines: size - total / lines,
        f"Size above the mean of what the customer ordered ({window}), sizes in {scale}s.",
        family="size",
    )


def size_spread(window: str) -> Derived:
    """How much the sizes in letters scatter that a customer orders."""
    return Derived(
        f"customer_letter_size_variance_{window}",
        (
            f"customer_orders_letter_size_sum_of_squares_{window}",
            f"customer_orders_letter_size_sum_{window}",
            f"customer_orders_has_letter_size_sum_{window}",
        ),
        lambda squares, total, lines: squares / lines - (total / lines) * (total / lines),
        f"Variance of the sizes in letters that the customer ordered ({window}).",
        family="size",
    )


def size_complaints(group: str, window: str) -> tuple[Derived, ...]:
    """How often a group's lines came back for their size, and which way it goes; 0 in a shop without such reasons."""
    small, large, lines = (
        f"{group}_{name}_{window}" for name in ("returns_is_too_small_sum", "returns_is_too_large_sum", "orders_count")
    )

    def rate(returned: Expr, ordered: Expr) -> Expr:
        return returned / (ordered + PRIOR_STRENGTH)

    def cut(small: Expr, large: Expr, ordered: Expr) -> Expr:
        return rate(small - large, ordered)

    said = f"per line ordered ({window}), shrunk to 0"
    return (
        Derived(f"{group}_too_small_rate_{window}", (small, lines), rate, f"Returns as too small {said}.", "article_cut"),
        Derived(f"{group}_too_large_rate_{window}", (large, lines), rate, f"Returns as too large {said}.", "article_cut"),
        Derived(
            f"{group}_cut_{window}",
            (small, large, lines),
            cut,
            f"Returns as too small less those as too large, {said}: above 0, the {group} is cut small.",
            family="article_cut",
        ),
    )


def days_since(groups: Iterable[KeyGroup]) -> tuple[Derived, ...]:
    """Days since the last event, for every ``since_last`` of every group."""
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


def _counted(stream: Stream, groups: Iterable[KeyGroup]) -> Iterator[tuple[str, str, str | None]]:
    """The names of every group and window over which the stream's events are counted, and the counts' family."""
    for group in groups:
        for aggregation in group.aggregations:
            if aggregation.stream is stream and aggregation.operation is Operation.COUNT:
                family = aggregation.family or group.family
                yield from ((group.name, window.name, family) for window in aggregation.windows)


def _parsed(windows: Iterable[str]) -> tuple[Window, ...]:
    return tuple(Window.parse(name) for name in windows)
