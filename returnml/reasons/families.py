"""Reason families: which features speak of the same thing, and how that is said in plain words.

Every feature of a scored feature set belongs to exactly one family (tested): a family's contribution is the sum of its
features'.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from returnml.features.feature_set import FeatureSet

_DAYS = r"(_\d+d|_lifetime)"
_RECENT = r"_(5m|1h|24h)"
_RETURNED = r"(returns_.*|return_rate_.*)"


@dataclass(frozen=True)
class Family:
    """One reason.

    Attributes:
        text: in plain words. It names what was looked at and states no level: what is much differs from shop to shop, and a
            line may be riskier for a share that is small. A fact that it does state must be its claim.
        pattern: of its features' whole names.
        claim: a feature and a value that it must exceed for ``text`` to be true of a line; None: it always is.
    """

    name: str
    text: str
    pattern: str
    claim: tuple[str, float] | None = None


class FamilyError(ValueError):
    """A feature of no family, or of several; the message names it."""


ORDER_LINE_FAMILIES = (
    Family(
        "several_sizes",
        "orders several sizes or colours of the same article",
        r"basket_same_article_(count|size_distinct|color_distinct)|quantity_share_of_same_article",
        ("basket_same_article_count", 1.0),
    ),
    Family(
        "customer_returns",
        "what they sent back before",
        rf"customer_{_RETURNED}",
        ("customer_returns_count_365d", 0.0),
    ),
    Family(
        "customer_product_group",
        "what they sent back of this product group before",
        r"customer_product_group_.*",
        ("customer_product_group_returns_count_lifetime", 0.0),
    ),
    Family(
        "customer_brand",
        "what they sent back of this brand before",
        r"customer_brand_.*",
        ("customer_brand_returns_count_lifetime", 0.0),
    ),
    Family(
        "customer_article",
        "ordered this article before",
        r"customer_article_.*",
        ("customer_article_orders_count_365d", 0.0),
    ),
    Family("customer_pace", "how much and how often they order", rf"customer_orders_(.*{_DAYS}|since_last_days)"),
    Family(
        "rapid_orders",
        "orders placed within hours of each other",
        rf"customer_orders_.*{_RECENT}",
        ("customer_orders_count_24h", 0.0),
    ),
    Family("article_returns", "how often the article comes back", rf"article_{_RETURNED}", ("article_returns_count_365d", 0.0)),
    Family("article_sales", "how much the article sells", r"article_orders_.*"),
    Family(
        "size_runs_wrong",
        "how often this size of the article comes back",
        r"article_size_.*",
        ("article_size_returns_count_365d", 0.0),
    ),
    Family("article_cut", "how the article is cut, small or large", r"article_(too_(small|large)_rate|cut)_.*"),
    Family("size", "the size against what they usually order", r"(letter|number)_size.*|customer_letter_size_variance_.*"),
    Family("product_group", "how often the product group comes back", r"product_group_.*"),
    Family("brand", "how often the brand comes back", r"brand_.*"),
    Family("payment", "how much comes back with this payment method and country", r"country_payment_.*"),
    Family("price", "the price of the article", r"unit_price_cents|price_against_.*"),
    Family(
        "order_value",
        "the value of the line and the order",
        r"line_value_cents|basket_line_value_cents_sum|basket_value_share|value_against_customer_365d",
    ),
    Family("order_size", "how many articles the order has", r"basket_(count|quantity_sum|article_id_distinct)"),
    Family("pieces", "several pieces of one article", r"quantity|quantity_against_article_90d", ("quantity", 1.0)),
    Family("voucher", "ordered with a voucher", r"has_voucher", ("has_voucher", 0.0)),
    Family("time", "the time of the order", r"hour_of_day|day_of_week"),
)

_DECLARED = {"order_line": ORDER_LINE_FAMILIES}


def has_families(feature_set: FeatureSet) -> bool:
    """Whether reasons can be given for it."""
    return feature_set.name in _DECLARED


def families_of(feature_set: FeatureSet) -> tuple[Family, ...]:
    """The families that are declared for a feature set.

    Raises:
        FamilyError: if there are none.
    """
    try:
        return _DECLARED[feature_set.name]
    except KeyError:
        raise FamilyError(f"no reason families are declared for feature set {feature_set.name!r}") from None


def family_numbers(names: Sequence[str], families: Sequence[Family]) -> list[int]:
    """For each feature the position of its family.

    Raises:
        FamilyError: naming a feature that belongs to none, or to several.
    """
    found = []
    for name in names:
        of = [i for i, family in enumerate(families) if re.fullmatch(family.pattern, name)]
        if len(of) != 1:
            named = " and ".join(families[i].name for i in of) or "no family"
            raise FamilyError(f"feature {name!r} belongs to {named}: it must belong to exactly one")
        found += of
    return found
