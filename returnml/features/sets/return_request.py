"""The feature set ``return_request``: what is known about one return at the moment it is asked for, before inspection.

Declarations only. Aggregates over ``inspections`` are verdicts on earlier returns. No tiles are kept for it: what it asks
of orders and outcomes are windows of the live feature sets, in groups of the same name, whose tiles it reads; returns and
inspections are few.
"""

from __future__ import annotations

from collections.abc import Iterator

from returnml.features.declarations import Derived, InputKind, KeyGroup, RequestInput
from returnml.features.expressions import Expr
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.shop import (
    CLOCK_INPUTS,
    INSPECTIONS,
    LINE_INPUTS,
    ORDERS,
    RETURNS,
    activity,
    count,
    counts,
    days_since,
    outcomes,
    ratio,
    return_rates,
    returns_per_order,
    since_last,
    sum_of,
)
from returnml.features.windows import DAY_US

PRIOR_ABUSE_RATE = 0.04
PRIOR_STRENGTH = 10.0

SHARED_GROUPS = (
    KeyGroup(
        "customer",
        ("customer_id",),
        (*activity("30d", "90d", "365d"), *outcomes("365d", "lifetime"), since_last(ORDERS), since_last(RETURNS)),
    ),
    KeyGroup("article", ("article_id",), (*counts("90d", "365d"), *outcomes("90d", "lifetime"))),
    KeyGroup("customer_product_group", ("customer_id", "product_group"), (*counts("90d", "lifetime"), *outcomes("lifetime"))),
    KeyGroup("product_group", ("product_group",), (*counts("365d"), *outcomes("365d"))),
)

_INSPECTED = {
    "inspected_customer": (("customer_id",), ("90d", "365d", "lifetime")),
    "inspected_customer_product_group": (("customer_id", "product_group"), ("lifetime",)),
    "inspected_article": (("article_id",), ("365d", "lifetime")),
    "inspected_product_group": (("product_group",), ("365d",)),
    "inspected_country_payment": (("country", "payment_method"), ("365d",)),
}

GROUPS = (
    *SHARED_GROUPS,
    KeyGroup("line", ("line_id",), (count(RETURNS, "lifetime"), sum_of(RETURNS, "quantity", "lifetime", is_feature=False))),
    *(
        KeyGroup(name, keys, (count(INSPECTIONS, *windows), sum_of(INSPECTIONS, "is_abuse", *windows)))
        for name, (keys, windows) in _INSPECTED.items()
    ),
)

REQUEST = (
    RequestInput(
        "returned_quantity",
        InputKind.INTEGER,
        "Pieces of the return.",
        "returned_quantity",
        origin=("returns", "quantity"),
    ),
    RequestInput("refund_cents", InputKind.INTEGER, "Refund, minor units.", "refund_cents", origin=("returns", "refund_cents")),
    RequestInput("reason", InputKind.TEXT, "The customer's reason.", "reason", origin=("returns", "reason")),
    RequestInput("since_order_us", InputKind.SINCE, "Microseconds since the order.", "ordered_at", is_feature=False),
    RequestInput("quantity", InputKind.INTEGER, "Pieces ordered on the line.", "quantity"),
    *LINE_INPUTS,
    RequestInput("size", InputKind.TEXT, "Size of the article.", "size"),
    RequestInput("product_group", InputKind.TEXT, "The article's product group.", "product_group"),
    RequestInput("payment_method", InputKind.TEXT, "How the order was paid.", "payment_method"),
    RequestInput("device", InputKind.TEXT, "Where the order was placed.", "device"),
    RequestInput("country", InputKind.TEXT, "Country of delivery.", "country"),
    *CLOCK_INPUTS,
)


def _abuse_rate(abuse: Expr, inspections: Expr) -> Expr:
    return (abuse + PRIOR_ABUSE_RATE * PRIOR_STRENGTH) / (inspections + PRIOR_STRENGTH)


def _abuse_rates() -> Iterator[Derived]:
    for group, (_, windows) in _INSPECTED.items():
        for window in windows:
            yield Derived(
                f"{group}_abuse_rate_{window}",
                (f"{group}_inspections_is_abuse_sum_{window}", f"{group}_inspections_count_{window}"),
                _abuse_rate,
                f"Share of the inspections that found abuse ({window}), smoothed.",
            )


DERIVED = (
    *return_rates(GROUPS),
    *returns_per_order(group for group in GROUPS if group.name in ("customer", "article")),
    *days_since(GROUPS),
    *_abuse_rates(),
    Derived("days_since_order", ("since_order_us",), lambda since_us: since_us / float(DAY_US), "Days since the order."),
    Derived("share_of_line_returned", ("returned_quantity", "quantity"), ratio, "Pieces of the return per piece ordered."),
    Derived(
        "share_of_line_returned_before",
        ("line_returns_quantity_sum_lifetime", "quantity"),
        ratio,
        "Pieces of the line that had come back before, per piece ordered.",
    ),
    Derived("refund_against_value", ("refund_cents", "line_value_cents"), ratio, "Refund as a share of the line's value."),
    Derived("price_against_list", ("unit_price_cents", "list_price_cents"), ratio, "Price as a share of the list price."),
    Derived(
        "refund_against_customer_365d",
        ("refund_cents", "customer_returns_refund_cents_sum_365d"),
        lambda refund, before: refund / (refund + before),
        "The refund against the customer's refunds of a year.",
    ),
)

RETURN_REQUEST = FeatureSet("return_request", 1, REQUEST, (), GROUPS, DERIVED)
