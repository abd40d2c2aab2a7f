"""How likely a line comes back, and how soon: the simulator's truth.

The chance is a logistic function of traits and circumstances with interactions, so that neither a table of rates nor a
single feature explains it; its intercept is set so that the lines before the drift come back at ``TARGET_RATE``. The
time until goods come back is log-logistic between 1 and 60 days: skewed, with a closed distribution function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from returnml.sources.simulator.baskets import Lines
from returnml.sources.simulator.own_columns import OwnColumns
from returnml.sources.simulator.simulation_plan import (
    Plan,
    Scenario,
)
from returnml.sources.simulator.world import DRIFT_BRANDS, GROUPS, NEW_COUNTRY, PAYMENTS, Abuse, Articles, Customers, Floats

TARGET_RATE = 0.30
MIN_DELAY_DAYS, MAX_DELAY_DAYS = 1.0, 60.0
_SHAPE = 2.4
_MEDIAN_DAYS = 8.5
_SIZING_SHIFT = 1.3
_ON_INVOICE, _PREPAID, _ON_DELIVERY = (PAYMENTS.index(p) for p in ("invoice", "prepayment", "cash_on_delivery"))
_ACCESSORY = next(i for i, g in enumerate(GROUPS) if g.name == "accessory")
_WORN_ONCE = [i for i, g in enumerate(GROUPS) if g.name in ("dress", "jacket", "shoes")]


@dataclass(frozen=True)
class Behaviour:
    """Per line: chance to come back at all, and within the label window; misfit in sizes; the delay's median in days.

    ``intercept`` is the whole shop's.
    """

    probability_any: Floats
    probability_label: Floats
    misfit: Floats
    median_days: Floats
    intercept: float


def describe(
    plan: Plan,
    lines: Lines,
    articles: Articles,
    customers: Customers,
    intercept: float | None = None,
    own: OwnColumns | None = None,
) -> Behaviour:
    """The truth about every line; draws nothing.

    Args:
        intercept: of the shop that the lines are a part of; default: that of these lines.
        own: what the shop's own columns add.
    """
    misfit = _misfits(plan, lines, articles, customers)
    logit = _logits(lines, misfit, articles, customers)
    if own is not None:
        logit = logit + own.logit(lines)
    if intercept is None:
        before = lines.day < max(plan.drift_day, 1)
        intercept = _intercept(logit[before][:: max(1, int(before.sum()) // 100_000)])
    probability = _with_abuse(_sigmoid(logit + intercept), lines, articles, customers)
    abuse = customers.abuse[lines.customer]
    median = _MEDIAN_DAYS * customers.slowness[lines.customer] * np.where(abuse == Abuse.WARDROBING, 1.6, 1.0)
    label = probability * delay_cdf(float(plan.label_window_days), median)
    return Behaviour(probability, label, misfit, median, intercept)


def delay_cdf(days: float, median_days: Floats) -> Floats:
    """Share of returns that are back within ``days``, given that they come back at all."""
    low, high = (_fisk(bound, median_days) for bound in (MIN_DELAY_DAYS, MAX_DELAY_DAYS))
    return np.clip((_fisk(days, median_days) - low) / (high - low), 0.0, 1.0)


def delay_quantile(share: Floats, median_days: Floats) -> Floats:
    """Days after which ``share`` of the returns are back: the inverse of :func:`delay_cdf`."""
    low, high = (_fisk(bound, median_days) for bound in (MIN_DELAY_DAYS, MAX_DELAY_DAYS))
    u = low + share * (high - low)
    return np.clip(median_days * (u / (1 - u)) ** (1 / _SHAPE), MIN_DELAY_DAYS, MAX_DELAY_DAYS)


def _fisk(days: float, median_days: Floats) -> Floats:
    return 1 / (1 + (days / median_days) ** -_SHAPE)


def _misfits(plan: Plan, lines: Lines, articles: Articles, customers: Customers) -> Floats:
    """Ordered size minus the size that would fit; 0 where the article has no sizes."""
    fit = articles.fit[lines.article]
    if plan.drifts(Scenario.SIZING_CHANGE):
        sold = np.bincount(articles.brand[lines.article], minlength=int(articles.brand.max()) + 1)
        is_changed = np.isin(articles.brand[lines.article], np.argsort(-sold, kind="stable")[:DRIFT_BRANDS])
        fit = fit + np.where(is_changed & (lines.day >= plan.drift_day), _SIZING_SHIFT, 0.0)
    return np.where(lines.size >= 0, lines.chosen - customers.body[lines.customer] - fit, 0.0)


def _logits(lines: Lines, misfit: Floats, articles: Articles, customers: Customers) -> Floats:
    buyer, article = lines.customer, lines.article
    group = articles.group[article]
    habit = customers.habit[buyer]
    usual = np.array([g.price_cents for g in GROUPS])[group]
    dearness = np.log(lines.unit_price_cents / usual) - customers.taste[buyer]
    has_voucher = lines.voucher >= 0
    on_invoice = lines.payment == _ON_INVOICE
    return (
        habit
        + np.array([g.logit for g in GROUPS])[group]
        + articles.quality_logit[article]
        + 1.15 * np.maximum(np.abs(misfit) - 0.4, 0.0)
        + 0.25 * np.maximum(-misfit - 0.4, 0.0)
        + 1.1 * (lines.sizes_of_article > 1)
        + has_voucher * (0.2 + 0.45 * np.maximum(habit, 0.0))
        + 0.35 * on_invoice
        + 0.3 * (on_invoice & (lines.lines_of_order > 2))
        - 0.35 * (lines.payment == _PREPAID)
        + 0.45 * (lines.payment == _ON_DELIVERY)
        + 0.2 * (customers.country[buyer] == NEW_COUNTRY)
        + (0.45 + 0.35 * habit) * dearness
        - 0.9 * lines.markdown
        + 0.07 * (lines.lines_of_order - 1)
        - 0.25 * ((lines.quantity > 1) & (group == _ACCESSORY))
        + 0.12 * (lines.device == 0)
    )


def _with_abuse(probability: Floats, lines: Lines, articles: Articles, customers: Customers) -> Floats:
    abuse = customers.abuse[lines.customer]
    worn_once = np.isin(articles.group[lines.article], _WORN_ONCE)
    is_dear = lines.unit_price_cents > 6_000
    probability = np.where((abuse == Abuse.WARDROBING) & worn_once, np.maximum(probability, 0.85), probability)
    probability = np.where(abuse == Abuse.SERIAL, 0.55 + 0.4 * probability, probability)
    return np.where((abuse == Abuse.EMPTY_BOX) & is_dear, np.maximum(probability, 0.65), probability)


def _intercept(logit: Floats) -> float:
    """The intercept at which the mean chance is ``TARGET_RATE``, by bisection."""
    low, high = -20.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        if _sigmoid(logit + middle).mean() < TARGET_RATE:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))
