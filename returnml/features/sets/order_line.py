"""The feature set ``order_line``: what is known about one order line at the moment it is scored.

Declarations only. Aggregates over ``outcomes`` are return *rates* that young lines do not dilute; those over
``orders`` and ``returns`` are raw recent activity.
"""

from __future__ import annotations

from collections.abc import Callable

from returnml.features.declarations import BasketAggregate, Derived, InputKind, KeyGroup, Operation, RequestInput
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.order_line_families import FAMILIES
from returnml.features.sets.shop import (
    CLOCK_INPUTS,
    LINE_INPUTS,
    ORDERS,
    RETURNS,
    activity,
    count,
    counts,
    days_since,
    outcomes,
    ratio,
    recency,
    return_rates,
    returns_per_order,
    since_last,
    size_against_customer,
    size_complaints,
    size_reasons,
    size_spread,
    sizes,
    sum_of,
)

GROUPS = (
    KeyGroup(
        "customer",
        ("customer_id",),
        (
            *activity("1d", "30d", "90d", "365d", orders="customer_pace"),
            *outcomes("90d", "365d", "lifetime"),
            *recency("customer_pace", "rapid_orders"),
            *sizes("lifetime"),
        ),
        family="customer_returns",
    ),
    KeyGroup(
        "article",
        ("article_id",),
        (
            *activity("1d", "30d", "90d", "365d", orders="article_sales"),
            *outcomes("90d", "lifetime"),
            *size_reasons("365d"),
            since_last(RETURNS),
            count(ORDERS, "1h", "24h", family="article_sales"),
        ),
        family="article_returns",
    ),
    KeyGroup(
        "article_size",
        ("article_id", "size"),
        (*counts("30d", "365d"), *outcomes("90d", "lifetime")),
        family="size_runs_wrong",
    ),
    KeyGroup(
        "customer_article",
        ("customer_id", "article_id"),
        (*counts("30d", "365d"), sum_of(ORDERS, "quantity", "365d"), sum_of(RETURNS, "quantity", "365d"), since_last(ORDERS)),
        family="customer_article",
    ),
    KeyGroup(
        "customer_product_group",
        ("customer_id", "product_group"),
        (*counts("90d", "lifetime"), *outcomes("lifetime")),
        family="customer_product_group",
    ),
    KeyGroup(
        "customer_brand",
        ("customer_id", "brand"),
        (*counts("90d", "lifetime"), *outcomes("lifetime")),
        family="customer_brand",
    ),
    KeyGroup("product_group", ("product_group",), (*counts("30d", "365d"), *outcomes("30d", "365d")), family="product_group"),
    KeyGroup("brand", ("brand",), (*counts("30d", "365d"), *outcomes("30d", "365d")), family="brand"),
    KeyGroup(
        "country_payment",
        ("country", "payment_method"),
        (*counts("30d", "365d"), *outcomes("30d", "365d"), count(ORDERS, "1h", "24h")),
        family="payment",
    ),
)

REQUEST = (
    RequestInput("quantity", InputKind.INTEGER, "Pieces ordered on this line.", "quantity", family="pieces"),
    *LINE_INPUTS,
    RequestInput("letter_size", InputKind.LETTER_SIZE, "Rank of the size among those in letters.", "size", family="size"),
    RequestInput("number_size", InputKind.NUMBER_SIZE, "Twice the size, where it is a number.", "size", family="size"),
    *CLOCK_INPUTS,
)

BASKET = (
    BasketAggregate("basket_count", Operation.COUNT, "Lines in the order.", family="order_size"),
    BasketAggregate("basket_quantity_sum", Operation.SUM, "Pieces in the order.", "quantity", family="order_size"),
    BasketAggregate(
        "basket_line_value_cents_sum", Operation.SUM, "Value of the order, minor units.", "line_value_cents", family="order_value"
    ),
    BasketAggregate(
        "basket_article_id_distinct", Operation.DISTINCT, "Different articles in the order.", "article_id", family="order_size"
    ),
    BasketAggregate(
        "basket_same_article_count",
        Operation.COUNT,
        "Lines of this article in the order.",
        by=("article_id",),
        family="several_sizes",
    ),
    BasketAggregate(
        "basket_same_article_size_distinct",
        Operation.DISTINCT,
        "Sizes of this article in the order.",
        "size",
        ("article_id",),
        family="several_sizes",
    ),
    BasketAggregate(
        "basket_same_article_color_distinct",
        Operation.DISTINCT,
        "Colours of this article in the order.",
        "color",
        ("article_id",),
        family="several_sizes",
    ),
    BasketAggregate(
        "basket_same_article_quantity_sum",
        Operation.SUM,
        "Pieces of this article in the order.",
        "quantity",
        ("article_id",),
        is_feature=False,
        family="several_sizes",
    ),
)


def _price_against(inputs: tuple[str, str, str]) -> Callable[[str, str], Derived]:
    def build(name: str, description: str) -> Derived:
        return Derived(name, inputs, lambda price, value, pieces: price / (value / pieces), description, "price")

    return build


DERIVED = (
    *return_rates(GROUPS),
    *returns_per_order(group for group in GROUPS if group.name in ("customer", "article")),
    *days_since(GROUPS),
    size_against_customer("letter", "lifetime"),
    size_against_customer("number", "lifetime"),
    size_spread("lifetime"),
    *size_complaints("article", "365d"),
    Derived(
        "price_against_list",
        ("unit_price_cents", "list_price_cents"),
        ratio,
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
        ratio,
        "The line's share of the order's value.",
        family="order_value",
    ),
    Derived(
        "quantity_share_of_same_article",
        ("quantity", "basket_same_article_quantity_sum"),
        ratio,
        "The line's share of the order's pieces of its article.",
        family="several_sizes",
    ),
    Derived(
        "quantity_against_article_90d",
        ("quantity", "article_orders_quantity_sum_90d", "article_orders_count_90d"),
        lambda quantity, pieces, count: quantity / ((pieces + 1) / (count + 1)),
        "Pieces against the article's usual pieces per line.",
        family="pieces",
    ),
    Derived(
        "value_against_customer_365d",
        ("line_value_cents", "customer_orders_line_value_cents_sum_365d"),
        lambda value, spent: value / (spent + value),
        "The line's value against the customer's year.",
        family="order_value",
    ),
)

ORDER_LINE = FeatureSet("order_line", 3, REQUEST, BASKET, GROUPS, DERIVED, FAMILIES)
