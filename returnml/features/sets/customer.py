"""The feature set ``customer``: what is known about one customer at an instant, without an order.

Declarations only. The ground for questions about a customer, such as whether anything that they order in the next
30 days will come back.
"""

from __future__ import annotations

from returnml.features.declarations import Derived, KeyGroup
from returnml.features.expressions import Expr
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.shop import (
    DAY_OF_WEEK,
    activity,
    days_since,
    outcomes,
    ratio,
    recency,
    return_rates,
    returns_per_order,
)

GROUPS = (
    KeyGroup(
        "customer",
        ("customer_id",),
        (
            *activity("7d", "30d", "90d", "365d", "lifetime"),
            *outcomes("30d", "90d", "365d", "lifetime"),
            *recency(),
        ),
    ),
)

REQUEST = (DAY_OF_WEEK,)


def _share_of_recent(recent: Expr, all_of_it: Expr) -> Expr:
    return (recent + 1) / (all_of_it + 1)


def _per_order_line(window: str) -> Derived:
    inputs = (f"customer_orders_line_value_cents_sum_{window}", f"customer_orders_count_{window}")
    return Derived(f"customer_value_per_line_{window}", inputs, ratio, f"Value of a line that the customer orders ({window}).")


def _refunded_share(window: str) -> Derived:
    inputs = (f"customer_returns_refund_cents_sum_{window}", f"customer_orders_line_value_cents_sum_{window}")
    return Derived(f"customer_refunded_share_{window}", inputs, ratio, f"Refunds as a share of the value ordered ({window}).")


DERIVED = (
    *return_rates(GROUPS),
    *returns_per_order(GROUPS),
    *days_since(GROUPS),
    *(_per_order_line(window) for window in ("90d", "365d", "lifetime")),
    *(_refunded_share(window) for window in ("90d", "365d", "lifetime")),
    Derived(
        "customer_orders_30d_of_365d",
        ("customer_orders_count_30d", "customer_orders_count_365d"),
        _share_of_recent,
        "How much of the year's ordering is of the last 30 days, smoothed by one line.",
    ),
    Derived(
        "customer_returns_30d_of_365d",
        ("customer_returns_count_30d", "customer_returns_count_365d"),
        _share_of_recent,
        "How many of the year's returns are of the last 30 days, smoothed by one.",
    ),
)

CUSTOMER = FeatureSet("customer", 1, REQUEST, (), GROUPS, DERIVED)
