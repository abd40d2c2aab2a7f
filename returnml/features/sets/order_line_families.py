"""The families of the feature set ``order_line``: what is said about the score of an order line.

Words and claims only; which features belong to a family stands with the features (``order_line``).
"""

from __future__ import annotations

from returnml.features.families import Claim, Family
from returnml.features.sets.shop import PRIOR_RETURN_RATE


def _came_back(group: str, returns_window: str, *rate_windows: str) -> tuple[Claim, ...]:
    """Claims that something of a group came back: a return was seen, or outcomes tell it.

    A shop whose lines have a flag has no returns. Its return rates are smoothed towards ``PRIOR_RETURN_RATE``, which nothing
    exceeds of which nothing came back.
    """
    rates = (Claim(f"{group}_return_rate_{window}", PRIOR_RETURN_RATE) for window in rate_windows)
    return (Claim(f"{group}_returns_count_{returns_window}", 0.0), *rates)


FAMILIES = (
    Family(
        "several_sizes",
        "orders several sizes or colours of the same article",
        (Claim("basket_same_article_count", 1.0),),
    ),
    Family("customer_returns", "what they sent back before", _came_back("customer", "365d", "90d", "365d", "lifetime")),
    Family(
        "customer_product_group",
        "what they sent back of this product group before",
        _came_back("customer_product_group", "lifetime", "lifetime"),
    ),
    Family("customer_brand", "what they sent back of this brand before", _came_back("customer_brand", "lifetime", "lifetime")),
    Family("customer_article", "ordered this article before", (Claim("customer_article_orders_count_365d", 0.0),)),
    Family("customer_pace", "how much and how often they order"),
    Family("rapid_orders", "orders placed within hours of each other", (Claim("customer_orders_count_24h", 0.0),)),
    Family("article_returns", "how often the article comes back", _came_back("article", "365d", "90d", "lifetime")),
    Family("article_sales", "how much the article sells"),
    Family(
        "size_runs_wrong",
        "how often this size of the article comes back",
        _came_back("article_size", "365d", "90d", "lifetime"),
    ),
    Family("article_cut", "how the article is cut, small or large"),
    Family("size", "the size against what they usually order"),
    Family("product_group", "how often the product group comes back"),
    Family("brand", "how often the brand comes back"),
    Family("payment", "how much comes back with this payment method and country"),
    Family("price", "the price of the article"),
    Family("order_value", "the value of the line and the order"),
    Family("order_size", "how many articles the order has"),
    Family("pieces", "several pieces of one article", (Claim("quantity", 1.0),)),
    Family("voucher", "ordered with a voucher", (Claim("has_voucher", 0.0),)),
    Family("time", "the time of the order"),
)
