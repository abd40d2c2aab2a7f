"""Who buys and what is sold: brands, articles and customers with the latent traits that make goods come back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from returnml.sources.simulator.simulation_plan import (
    Plan,
    Scenario,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COUNTRIES = ("DE", "AT", "CH", "NL", "FR", "PL")
COUNTRY_SHARES = (0.55, 0.13, 0.1, 0.12, 0.1, 0.0)
NEW_COUNTRY = COUNTRIES.index("PL")
PAYMENTS = ("invoice", "card", "paypal", "prepayment", "cash_on_delivery")
DEVICES = ("app", "web", "phone")
COLORS = ("black", "white", "blue", "red", "green", "beige")
LETTER_SIZES = ("XS", "S", "M", "L", "XL", "XXL")
SHOE_SIZES = tuple(str(n) for n in range(36, 48))

DRIFT_BRANDS = 3


class SizeScale(IntEnum):
    NONE = 0
    LETTERS = 1
    SHOES = 2


class Abuse(IntEnum):
    """Why a customer's returns are not honest ones."""

    NONE = 0
    WARDROBING = 1
    SERIAL = 2
    EMPTY_BOX = 3


ABUSE_SHARES = (0.982, 0.007, 0.008, 0.003)


@dataclass(frozen=True)
class Group:
    """A product group: name, mean price in minor units, tendency to come back (logit), sizes, share of articles, peak month."""

    name: str
    price_cents: int
    logit: float
    scale: SizeScale
    share: float
    peak_month: int


GROUPS = (
    Group("t-shirt", 2200, -0.35, SizeScale.LETTERS, 0.2, 6),
    Group("shirt", 4200, 0.0, SizeScale.LETTERS, 0.14, 4),
    Group("trousers", 6500, 0.45, SizeScale.LETTERS, 0.16, 9),
    Group("dress", 7800, 0.75, SizeScale.LETTERS, 0.14, 5),
    Group("jacket", 14500, 0.35, SizeScale.LETTERS, 0.1, 10),
    Group("shoes", 9500, 0.3, SizeScale.SHOES, 0.14, 3),
    Group("accessory", 2600, -0.95, SizeScale.NONE, 0.12, 12),
)


@dataclass(frozen=True)
class Articles:
    """One entry per article; sorted by brand, so that ``brand_start[b]:brand_start[b + 1]`` are the articles of brand ``b``.

    Attributes:
        fit: in sizes; positive means it is cut small.
        quality_logit: what its quality adds to the chance of coming back.
        launch_day: index of the day from which it sells.
    """

    brand: Ints
    brand_start: Ints
    group: Ints
    popularity: Floats
    fit: Floats
    quality_logit: Floats
    list_price_cents: Ints
    launch_day: Ints
    colors: Ints

    def __len__(self) -> int:
        return len(self.brand)


@dataclass(frozen=True)
class Customers:
    """One entry per customer; sorted by ``joined_day``, so that the customers of a day are a prefix.

    Attributes:
        body: true size in letter sizes (2.5 is between M and L).
        self_knowledge: standard deviation, in sizes, of what they order around it.
        habit: latent return habit (logit).
        taste: log price that they are used to, relative to a group's mean.
        slowness: factor on the time until goods are sent back.
        sampling: chance to order a sized article in several sizes.
    """

    joined_day: Ints
    activity: Floats
    body: Floats
    self_knowledge: Floats
    habit: Floats
    taste: Floats
    slowness: Floats
    sampling: Floats
    voucher_love: Floats
    country: Ints
    payment: Ints
    device: Ints
    favourite_brand: Ints
    abuse: Ints

    def __len__(self) -> int:
        return len(self.joined_day)


def draw_articles(plan: Plan) -> Articles:
    """Draw the assortment: its size grows slowly with volume, its popularity is heavily skewed."""
    rng = plan.generator("articles")
    n = int(np.clip(12 * np.sqrt(plan.lines_per_day) + plan.lines / 1_000, 60, 12_000))
    brands = int(np.clip(n // 25, 6, 60))
    brand_weight = 1 / (np.arange(brands) + 2.0)
    brand = np.sort(rng.choice(brands, n, p=brand_weight / brand_weight.sum()))
    brand_fit = rng.normal(0, 0.45, brands)
    brand_quality = rng.normal(0, 0.35, brands)
    group = rng.choice(len(GROUPS), n, p=[g.share for g in GROUPS])
    price = np.array([g.price_cents for g in GROUPS])[group] * np.exp(rng.normal(0, 0.4, n))
    return Articles(
        brand=brand,
        brand_start=np.searchsorted(brand, np.arange(brands + 1)),
        group=group,
        popularity=rng.permutation((np.arange(n) + 5.0) ** -0.9),
        fit=brand_fit[brand] + rng.normal(0, 0.35, n),
        quality_logit=brand_quality[brand] + rng.normal(0, 0.45, n),
        list_price_cents=np.maximum(np.round(price / 100), 5).astype(np.int64) * 100 - 1,
        launch_day=np.where(rng.random(n) < 0.7, 0, rng.integers(0, max(plan.days, 1), n)),
        colors=rng.integers(1, len(COLORS) + 1, n),
    )


def draw_customers(plan: Plan, brands: int) -> Customers:
    """Draw customers: ``lines_per_customer`` each over the span, two fifths of them there from the first day on."""
    rng = plan.generator("customers")
    home = max(plan.lines // plan.lines_per_customer, 20)
    new = home // 8 if plan.drifts(Scenario.NEW_MARKET) else 0
    n = home + new
    joined = np.where(rng.random(n) < 0.4, 0, rng.integers(0, plan.days, n))
    joined[home:] = rng.integers(plan.drift_day, plan.days, new)
    is_new_market = np.arange(n) >= home
    order = np.argsort(joined, kind="stable")
    joined, is_new_market = joined[order], is_new_market[order]
    country = np.where(is_new_market, NEW_COUNTRY, rng.choice(len(COUNTRIES), n, p=COUNTRY_SHARES))
    payment = rng.choice(len(PAYMENTS), n, p=(0.4, 0.22, 0.28, 0.1, 0.0))
    habit = rng.normal(0, 0.75, n)
    return Customers(
        joined_day=joined,
        activity=np.exp(rng.normal(0, 0.9, n)) * np.where(is_new_market, 2.0, 1.0),
        body=np.clip(rng.normal(2.5, 1.1, n), -0.3, 5.3),
        self_knowledge=rng.gamma(4, 0.12, n),
        habit=np.where(is_new_market, habit + 0.5, habit),
        taste=rng.normal(0, 0.3, n),
        slowness=np.exp(rng.normal(0, 0.25, n)) * np.where(is_new_market, 1.5, 1.0),
        sampling=rng.beta(0.7, 7, n),
        voucher_love=rng.beta(1, 6, n),
        country=country,
        payment=np.where(is_new_market & (rng.random(n) < 0.7), PAYMENTS.index("cash_on_delivery"), payment),
        device=rng.choice(len(DEVICES), n, p=(0.45, 0.5, 0.05)),
        favourite_brand=rng.integers(0, brands, n),
        abuse=rng.choice(len(ABUSE_SHARES), n, p=ABUSE_SHARES),
    )
