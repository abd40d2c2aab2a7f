"""Orders and their lines: when, by whom, which article in which size, at what price."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from returnml.features.windows import DAY_US, HOUR_US
from returnml.sources.simulator.simulation_plan import (
    Plan,
    Scenario,
)
from returnml.sources.simulator.world import COLORS, DEVICES, GROUPS, PAYMENTS, Articles, Customers, Floats, Ints, SizeScale

VOUCHERS = ("WELCOME10", "NEWS15", "CAMPAIGN30")
VOUCHER_DISCOUNTS = (0.10, 0.15, 0.30)
CAMPAIGN = VOUCHERS.index("CAMPAIGN30")
_WEEKDAYS = (1.12, 1.0, 0.95, 0.93, 0.97, 0.95, 1.2)
_HOURS = np.array([3, 2, 1, 1, 1, 1, 3, 5, 7, 8, 9, 9, 10, 9, 8, 8, 9, 10, 12, 15, 17, 15, 10, 6], float)
_LINES_PER_ORDER = 2.0
_SIZES = {SizeScale.NONE: 1, SizeScale.LETTERS: 6, SizeScale.SHOES: 12}


@dataclass(frozen=True)
class Lines:
    """One entry per order line, by time of the order; entries of one order are neighbours.

    Attributes:
        order: index of the order; ``day`` of its day; ``at_us`` its time since the start of the span.
        size: index in the article's scale, -1 where it has none.
        chosen: the ordered size in letter sizes, on which ``Customers.body`` is given.
        sizes_of_article: lines of the same article in the order.
        voucher: -1 where none was used.
        markdown: share taken off the list price, the voucher apart.
    """

    order: Ints
    day: Ints
    at_us: Ints
    customer: Ints
    article: Ints
    size: Ints
    chosen: Floats
    color: Ints
    quantity: Ints
    sizes_of_article: Ints
    lines_of_order: Ints
    voucher: Ints
    payment: Ints
    device: Ints
    markdown: Floats
    unit_price_cents: Ints

    def __len__(self) -> int:
        return len(self.order)

    def take(self, index: Ints) -> Lines:
        return Lines(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def draw_lines(plan: Plan, articles: Articles, customers: Customers) -> Lines:
    """Draw all orders of the span; lines of one order differ in article, size or colour."""
    rng = plan.generator("baskets")
    day, at_us = _order_times(plan, rng)
    order_customer = _order_customers(rng, day, customers)
    order, article, size, chosen, color = _order_contents(plan, rng, day, order_customer, articles, customers)
    buyer = order_customer[order]
    counts = np.bincount(order, minlength=len(day))
    voucher = _order_vouchers(plan, rng, day, order_customer, customers)[order]
    payment, device = _order_channels(rng, order_customer, customers)
    markdown = _markdowns(plan, rng, day[order], article, len(articles))
    discount = np.where(voucher >= 0, np.array(VOUCHER_DISCOUNTS)[voucher], 0.0)
    price = articles.list_price_cents[article] * (1 - markdown) * (1 - discount)
    is_single = rng.random(len(order)) < np.where(np.array([g.scale for g in GROUPS])[articles.group[article]] == 0, 0.8, 0.93)
    return Lines(
        order=order,
        day=day[order],
        at_us=at_us[order],
        customer=buyer,
        article=article,
        size=size,
        chosen=chosen,
        color=color,
        quantity=np.where(is_single, 1, rng.integers(2, 5, len(order))),
        sizes_of_article=_run_lengths(order * len(articles) + article),
        lines_of_order=counts[order],
        voucher=voucher,
        payment=payment[order],
        device=device[order],
        markdown=markdown,
        unit_price_cents=np.maximum(np.rint(price), 99).astype(np.int64),
    )


def _order_times(plan: Plan, rng: np.random.Generator) -> tuple[Ints, Ints]:
    days = np.arange(plan.days)
    weekday = (plan.start.weekday() + days) % 7
    weight = np.array(_WEEKDAYS)[weekday] * (1 + 0.12 * np.sin(2 * np.pi * (plan.start.timetuple().tm_yday + days) / 365.25))
    weight /= weight.mean()
    if plan.drifts(Scenario.VOUCHER_CAMPAIGN):
        weight = np.where(days >= plan.drift_day, 1.35 * weight, weight)
    orders = np.maximum(np.rint(weight * plan.lines_per_day / _LINES_PER_ORDER), 1).astype(np.int64)
    day = np.repeat(days, orders)
    hour = np.searchsorted(np.cumsum(_HOURS / _HOURS.sum())[:-1], rng.random(len(day)), side="right")
    at_us = day * DAY_US + hour * HOUR_US + rng.integers(0, HOUR_US, len(day))
    return day, np.sort(at_us)


def _order_customers(rng: np.random.Generator, day: Ints, customers: Customers) -> Ints:
    """Draw by activity among those who have joined: a prefix of the cumulative weights."""
    cumulative = np.cumsum(customers.activity)
    there = np.maximum(np.searchsorted(customers.joined_day, day, side="right"), 1)
    return np.searchsorted(cumulative[:-1], rng.random(len(day)) * cumulative[there - 1], side="right")


def _order_contents(
    plan: Plan, rng: np.random.Generator, day: Ints, order_customer: Ints, articles: Articles, customers: Customers
) -> tuple[Ints, Ints, Ints, Floats, Ints]:
    """(order, article, size, chosen, color) per line."""
    picks = np.minimum(rng.geometric(0.56, len(day)), 9)
    order = np.repeat(np.arange(len(day)), picks)
    buyer = order_customer[order]
    article = _pick_articles(plan, rng, day[order], customers.favourite_brand[buyer], articles)
    scale = np.array([g.scale for g in GROUPS])[articles.group[article]]
    color = rng.integers(0, len(COLORS), len(order)) % articles.colors[article]
    is_second_color = (articles.colors[article] > 1) & (rng.random(len(order)) < 0.04)

    per_letter = np.where(scale == SizeScale.SHOES, 2.0, 1.0)
    wanted = customers.body[buyer] + rng.normal(0, 1, len(order)) * customers.self_knowledge[buyer]
    index = np.rint(np.clip(wanted, 0, 5.5) * per_letter).astype(np.int64)
    samples = (scale != SizeScale.NONE) & (rng.random(len(order)) < customers.sampling[buyer])
    step = np.where(rng.random(len(order)) < 0.5, -1, 1)

    pieces = [(order, article, index, color, scale)]
    for selected, shift, recolor in (
        (samples, step, 0),
        (samples & (rng.random(len(order)) < 0.2), -step, 0),
        (is_second_color, 0 * step, 1),
    ):
        pieces.append(
            (
                order[selected],
                article[selected],
                (index + shift)[selected],
                ((color + recolor) % articles.colors[article])[selected],
                scale[selected],
            )
        )
    order, article, index, color, scale = (np.concatenate(column) for column in zip(*pieces, strict=True))
    index = np.clip(index, 0, np.array([_SIZES[s] for s in SizeScale])[scale] - 1)
    key = ((order * len(articles) + article) * 16 + index) * 8 + color
    _, first = np.unique(key, return_index=True)
    order, article, index, color, scale = (column[first] for column in (order, article, index, color, scale))
    chosen = index / np.where(scale == SizeScale.SHOES, 2.0, 1.0)
    return order, article, np.where(scale == SizeScale.NONE, -1, index), chosen, color


def _pick_articles(plan: Plan, rng: np.random.Generator, day: Ints, favourite: Ints, articles: Articles) -> Ints:
    """Draw by popularity, season and launch, week by week; a third from the customer's favourite brand."""
    peak = np.array([g.peak_month for g in GROUPS])[articles.group]
    picked = np.empty(len(day), np.int64)
    sides = np.searchsorted(day, np.arange(0, plan.days + 7, 7))
    for week, (low, high) in enumerate(pairwise(sides)):
        month = (plan.start.month - 1 + (plan.start.day + 7 * week) / 30.44) % 12 + 1
        season = 1 + 0.6 * np.cos(2 * np.pi * (month - peak) / 12)
        weight = articles.popularity * season * np.where(articles.launch_day <= 7 * week, 1.0, 1e-6)
        cumulative = np.concatenate([[0.0], np.cumsum(weight)])
        brand = favourite[low:high]
        is_favourite = rng.random(high - low) < 0.35
        start = np.where(is_favourite, cumulative[articles.brand_start[brand]], 0.0)
        stop = np.where(is_favourite, cumulative[articles.brand_start[brand + 1]], cumulative[-1])
        spot = start + rng.random(high - low) * (stop - start)
        picked[low:high] = np.clip(np.searchsorted(cumulative, spot, side="right") - 1, 0, len(articles) - 1)
    return picked


def _order_vouchers(plan: Plan, rng: np.random.Generator, day: Ints, buyer: Ints, customers: Customers) -> Ints:
    uses = rng.random(len(day)) < customers.voucher_love[buyer]
    voucher = np.where(uses, rng.integers(0, CAMPAIGN, len(day)), -1)
    if plan.drifts(Scenario.VOUCHER_CAMPAIGN):
        voucher = np.where((day >= plan.drift_day) & (rng.random(len(day)) < 0.55), CAMPAIGN, voucher)
    return voucher


def _order_channels(rng: np.random.Generator, buyer: Ints, customers: Customers) -> tuple[Ints, Ints]:
    """Mostly the customer's usual payment method and device."""
    n = len(buyer)
    payment = np.where(rng.random(n) < 0.85, customers.payment[buyer], rng.integers(0, len(PAYMENTS) - 1, n))
    device = np.where(rng.random(n) < 0.8, customers.device[buyer], rng.integers(0, len(DEVICES), n))
    return payment, device


def _markdowns(plan: Plan, rng: np.random.Generator, day: Ints, article: Ints, articles: int) -> Floats:
    """A quarter of the articles is marked down in any fortnight, by 10 to 50%."""
    fortnights = plan.days // 14 + 1
    depth = np.where(rng.random((fortnights, articles)) < 0.25, rng.integers(2, 11, (fortnights, articles)) * 0.05, 0.0)
    return depth[day // 14, article]


def _run_lengths(key: Ints) -> Ints:
    """For sorted keys: how often each entry's key occurs."""
    _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    return counts[inverse]
