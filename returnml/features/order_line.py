"""The feature set ``order_line``: what is known about one order line at the moment it is scored.

Declarations only. Aggregates over ``outcomes`` are return *rates* that young lines do not dilute; those over
``orders`` and ``returns`` are raw recent activity.
"""

from __future__ import annotations

from collections.abc import Callable

from returnml.features.declarations import (
    Aggregation,
    BasketAggregate,
    Derived,
    FeatureSet,
    InputKind,
    KeyGroup,
    Operation,
    RequestInput,
    Stream,
)
from returnml.features.expressions import Expr
from returnml.features.windows import DAY_US, Window

ORDERS = Stream("orders", "core.orders", {"quantity": 24, "line_value_cents": 36})
RETURNS = Stream("returns", "core.returns", {"quantity": 24, "refund_cents": 36})
OUTCOMES = Stream("outcomes", "core.outcomes", {"returned": 1, "returned_quantity": 24, "refund_cents": 36}, is_derived=True)

PRIOR_RETURN_RATE = 0.1
PRIOR_STRENGTH = 10.0


def _windows(*names: str) -> tuple[Window, ...]:
    return tuple(Window.parse(name) for name in names)


def _count(stream: Stream, *windows: str, is_feature: bool = True) -> Aggregation:
    return Aggregation(stream, Operation.COUNT, None, _windows(*windows), is_feature)


def _sum(stream: Stream, column: str, *windows: str, is_feature: bool = True) -> Aggregation:
    return Aggregation(stream, Operation.SUM, column, _windows(*windows), is_feature)


def _since_last(stream: Stream) -> Aggregation:
    return Aggregation(stream, Operation.SINCE_LAST, None, _windows("lifetime"), is_feature=False)


def _activity(*windows: str) -> tuple[Aggregation, ...]:
    """Counts, pieces and money of orders and returns."""
    return (
        _count(ORDERS, *windows),
        _sum(ORDERS, "quantity", *windows),
        _sum(ORDERS, "line_value_cents", *windows),
        _count(RETURNS, *windows),
        _sum(RETURNS, "quantity", *windows),
        _sum(RETURNS, "refund_cents", *windows),
    )


def _counts(*windows: str) -> tuple[Aggregation, ...]:
    return (_count(ORDERS, *windows), _count(RETURNS, *windows))


def _outcomes(*windows: str) -> tuple[Aggregation, ...]:
    return (_count(OUTCOMES, *windows, is_feature=False), _sum(OUTCOMES, "returned", *windows, is_feature=False))


GROUPS = (
    KeyGroup(
        "customer",
        ("customer_id",),
        (
            *_activity("1d", "30d", "90d", "365d"),
            *_outcomes("90d", "365d", "lifetime"),
            _since_last(ORDERS),
            _since_last(RETURNS),
        ),
    ),
    KeyGroup(
        "article",
        ("article_id",),
        (*_activity("1d", "30d", "90d", "365d"), *_outcomes("90d", "lifetime"), _since_last(RETURNS)),
    ),
    KeyGroup("article_size", ("article_id", "size"), (*_counts("30d", "365d"), *_outcomes("90d", "lifetime"))),
    KeyGroup(
        "customer_article",
        ("customer_id", "article_id"),
        (*_counts("30d", "365d"), _sum(ORDERS, "quantity", "365d"), _sum(RETURNS, "quantity", "365d"), _since_last(ORDERS)),
    ),
    KeyGroup(
        "customer_product_group",
        ("customer_id", "product_group"),
        (*_counts("90d", "lifetime"), *_outcomes("lifetime")),
    ),
    KeyGroup("customer_brand", ("customer_id", "brand"), (*_counts("90d", "lifetime"), *_outcomes("lifetime"))),
    KeyGroup("product_group", ("product_group",), (*_counts("30d", "365d"), *_outcomes("30d", "365d"))),
    KeyGroup("brand", ("brand",), (*_counts("30d", "365d"), *_outcomes("30d", "365d"))),
    KeyGroup("country_payment", ("country", "payment_method"), (*_counts("30d", "365d"), *_outcomes("30d", "365d"))),
)

REQUEST = (
    RequestInput("quantity", InputKind.INTEGER, "Pieces ordered on this line.", "quantity"),
    RequestInput("unit_price_cents", InputKind.INTEGER, "Price of one piece, minor units.", "unit_price_cents"),
    RequestInput(
        "list_price_cents", InputKind.INTEGER, "List price of one piece, minor units.", "list_price_cents", is_feature=False
    ),
    RequestInput("line_value_cents", InputKind.INTEGER, "Quantity times price, minor units.", "line_value_cents"),
    RequestInput("has_voucher", InputKind.PRESENT, "Whether a voucher was used on the order.", "voucher_code"),
    RequestInput("hour_of_day", InputKind.HOUR_OF_DAY, "Hour of the moment, UTC."),
    RequestInput("day_of_week", InputKind.DAY_OF_WEEK, "Weekday of the moment, UTC, Monday = 0."),
)

BASKET = (
    BasketAggregate("basket_count", Operation.COUNT, "Lines in the order."),
    BasketAggregate("basket_quantity_sum", Operation.SUM, "Pieces in the order.", "quantity"),
    BasketAggregate("basket_line_value_cents_sum", Operation.SUM, "Value of the order, minor units.", "line_value_cents"),
    BasketAggregate("basket_article_id_distinct", Operation.DISTINCT, "Different articles in the order.", "article_id"),
    BasketAggregate("basket_same_article_count", Operation.COUNT, "Lines of this article in the order.", by=("article_id",)),
    BasketAggregate(
        "basket_same_article_size_distinct", Operation.DISTINCT, "Sizes of this article in the order.", "size", ("article_id",)
    ),
    BasketAggregate(
        "basket_same_article_color_distinct",
        Operation.DISTINCT,
        "Colours of this article in the order.",
        "color",
        ("article_id",),
    ),
    BasketAggregate(
        "basket_same_article_quantity_sum",
        Operation.SUM,
        "Pieces of this article in the order.",
        "quantity",
        ("article_id",),
        is_feature=False,
    ),
)


def _smoothed_rate(returned: Expr, count: Expr) -> Expr:
    return (returned + PRIOR_RETURN_RATE * PRIOR_STRENGTH) / (count + PRIOR_STRENGTH)


def _ratio(numerator: Expr, denominator: Expr) -> Expr:
    return numerator / denominator


def _days(since_us: Expr) -> Expr:
    return since_us / float(DAY_US)


def _rates() -> tuple[Derived, ...]:
    """A smoothed return rate for every window of outcomes of every group."""
    return tuple(
        Derived(
            f"{group.name}_return_rate_{window.name}",
            (f"{group.name}_outcomes_returned_sum_{window.name}", f"{group.name}_outcomes_count_{window.name}"),
            _smoothed_rate,
            f"Share of the {group.name}'s matured lines that came back ({window.name}), smoothed.",
        )
        for group in GROUPS
        for aggregation in group.aggregations
        if aggregation.stream is OUTCOMES and aggregation.operation is Operation.COUNT
        for window in aggregation.windows
    )


def _raw_rates() -> tuple[Derived, ...]:
    """Returns seen per line ordered, smoothed: fresher than the rates over outcomes, though young lines dilute it."""
    return tuple(
        Derived(
            f"{group.name}_returns_per_order_{window.name}",
            (f"{group.name}_returns_count_{window.name}", f"{group.name}_orders_count_{window.name}"),
            _smoothed_rate,
            f"Returns of the {group.name} per line ordered ({window.name}), smoothed; young lines included.",
        )
        for group in GROUPS
        if group.name in ("customer", "article")
        for aggregation in group.aggregations
        if aggregation.stream is RETURNS and aggregation.operation is Operation.COUNT
        for window in aggregation.windows
    )


def _since_days() -> tuple[Derived, ...]:
    return tuple(
        Derived(
            f"{group.name}_{aggregation.stream.name}_since_last_days",
            (f"{group.name}_{aggregation.stream.name}_since_last_us",),
            _days,
            f"Days since the {group.name}'s last event in {aggregation.stream.name}.",
        )
        for group in GROUPS
        for aggregation in group.aggregations
        if aggregation.operation is Operation.SINCE_LAST
    )


def _price_against(inputs: tuple[str, str, str]) -> Callable[[str, str], Derived]:
    def build(name: str, description: str) -> Derived:
        return Derived(name, inputs, lambda price, value, pieces: price / (value / pieces), description)

    return build


DERIVED = (
    *_rates(),
    *_raw_rates(),
    *_since_days(),
    Derived(
        "price_against_list",
        ("unit_price_cents", "list_price_cents"),
        _ratio,
        "Price as a share of the list price.",
    ),
    _price_against(("unit_price_cents", "article_orders_line_value_cents_sum_90d", "article_orders_quantity_sum_90d"))(
        "price_against_article_90d", "Price against what the article sold for in 90 days."
    ),
    _price_against(("unit_price_cents", "customer_orders_line_value_cents_sum_365d", "customer_orders_quantity_sum_365d"))(
        "price_against_customer_365d", "Price against what the customer pays per piece in a year."
    ),
    Derived(
        "basket_value_share",
        ("line_value_cents", "basket_line_value_cents_sum"),
        _ratio,
        "The line's share of the order's value.",
    ),
    Derived(
        "quantity_share_of_same_article",
        ("quantity", "basket_same_article_quantity_sum"),
        _ratio,
        "The line's share of the order's pieces of its article.",
    ),
    Derived(
        "quantity_against_article_90d",
        ("quantity", "article_orders_quantity_sum_90d", "article_orders_count_90d"),
        lambda quantity, pieces, count: quantity / ((pieces + 1) / (count + 1)),
        "Pieces against the article's usual pieces per line.",
    ),
    Derived(
        "value_against_customer_365d",
        ("line_value_cents", "customer_orders_line_value_cents_sum_365d"),
        lambda value, spent: value / (spent + value),
        "The line's value against the customer's year.",
    ),
)

ORDER_LINE = FeatureSet("order_line", 1, REQUEST, BASKET, GROUPS, DERIVED)
