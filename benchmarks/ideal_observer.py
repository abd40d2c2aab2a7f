"""The most that any model could reach on the simulated shop: an observer who does exact inference on what the shop sees.

They know the simulator's rules, every article's true fit and quality, and everything that the shop has seen of a customer
when a line is ordered: the sizes ordered so far, what has come back, what has not (yet). What they do not know is the
customer: habit, body, self-knowledge, price taste, slowness, abuse. For these they hold candidates drawn from the prior,
weighted by the likelihood of what was seen (self-normalised importance sampling). A model has to learn the rules and the
articles too: this is a ceiling that it cannot reach, and the true probabilities are none.

    python -m benchmarks.ideal_observer [--days 365] [--lines-per-day 100] [--lines-per-customer 42] [--candidates 4000]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import date

import numpy as np
from scipy.special import ndtr

from benchmarks.simulated_truth import share_of_gain
from returnml.features.windows import DAY_US
from returnml.sources.simulator.baskets import Lines, draw_lines
from returnml.sources.simulator.behaviour import MAX_DELAY_DAYS, MIN_DELAY_DAYS, Behaviour, delay_cdf, describe
from returnml.sources.simulator.returning import draw_returns
from returnml.sources.simulator.simulation_plan import Plan
from returnml.sources.simulator.world import GROUPS, Articles, Customers, Floats, SizeScale, draw_articles, draw_customers

HOLDOUT_DAYS, MATURITY_DAYS = 21, 33
"""As the line's: the last mature days."""
LEAST = 1e-4
"""Chance of a size that a candidate would not order: several sizes at once, the ends of a scale."""


class Observer:
    """What the candidates say of one shop's lines; times in days since its start, infinite where nothing came back."""

    def __init__(self, plan: Plan, candidates: int) -> None:
        self.plan = plan
        self.articles: Articles = draw_articles(plan)
        brands = len(self.articles.brand_start) - 1
        shop: Customers = draw_customers(plan, brands)
        self.lines: Lines = draw_lines(plan, self.articles, shop)
        self.truth: Behaviour = describe(plan, self.lines, self.articles, shop)
        returns = draw_returns(plan, self.lines, self.truth, shop)
        back = ~returns.is_cancellation
        self.ordered_at = self.lines.at_us / DAY_US
        self.returned_at = np.full(len(self.lines), np.inf)
        self.returned_at[returns.line[back]] = returns.at_us[back] / DAY_US
        self.is_cancelled = np.zeros(len(self.lines), bool)
        self.is_cancelled[returns.line[~back]] = True
        # Customers of another shop: the prior, and nothing of this one.
        self.candidates = draw_customers(Plan(plan.start, 1, candidates, plan.seed + 1, lines_per_customer=1), brands)

    @property
    def holdout(self) -> np.ndarray:
        """Numbers of the lines that count: the last mature days, without cancelled orders."""
        end = self.plan.days - MATURITY_DAYS
        return np.flatnonzero((self.lines.day >= end - HOLDOUT_DAYS) & (self.lines.day < end) & ~self.is_cancelled)

    def came_back(self, lines: np.ndarray) -> np.ndarray:
        """Their labels: 1 where they came back within the label window."""
        return (self.returned_at[lines] - self.ordered_at[lines] <= self.plan.label_window_days).astype(np.int64)

    def said(self, history: np.ndarray, targets: np.ndarray) -> Floats:
        """The probability of a customer's ``targets`` from their ``history`` (all their lines by time), shape (targets,)."""
        each = len(self.candidates)
        drawn = np.tile(np.arange(each), len(history))
        asked = replace(self.lines.take(np.repeat(history, each)), customer=drawn)
        would = describe(self.plan, asked, self.articles, self.candidates, self.truth.intercept)
        p, label, median = (
            values.reshape(len(history), each) for values in (would.probability_any, would.probability_label, would.median_days)
        )
        sized = self._size_likelihood(history)
        ordered, returned = self.ordered_at[history], self.returned_at[history]
        answers = []
        for target in targets:
            now = self.ordered_at[target]
            before = (ordered < now) & ~self.is_cancelled[history]
            age = np.clip(now - ordered[before], MIN_DELAY_DAYS, MAX_DELAY_DAYS)[:, None]
            fate = np.where(
                (returned[before] < now)[:, None], np.log(p[before]), np.log1p(-p[before] * delay_cdf(age, median[before]))
            )
            weight = fate.sum(axis=0) + sized[ordered <= now].sum(axis=0)
            weight = np.exp(weight - weight.max())
            answers.append(float(weight @ label[np.flatnonzero(history == target)[0]] / weight.sum()))
        return np.array(answers)

    def _size_likelihood(self, history: np.ndarray) -> Floats:
        """Log chance of each line's size, by candidate; 0 where the article has none or several were ordered."""
        lines = self.lines.take(history)
        scale = np.array([g.scale for g in GROUPS])[self.articles.group[lines.article]]
        half = np.where(scale == SizeScale.SHOES, 0.25, 0.5)
        low, high = (
            ndtr(((lines.chosen + side)[:, None] - self.candidates.body) / self.candidates.self_knowledge)
            for side in (-half, half)
        )
        tells = (lines.size >= 0) & (lines.sizes_of_article == 1)
        return np.where(tells[:, None], np.log(np.maximum(high - np.where(lines.chosen[:, None] <= 0, 0.0, low), LEAST)), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--lines-per-day", type=int, default=100)
    parser.add_argument("--lines-per-customer", type=int, default=42)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--candidates", type=int, default=4_000)
    args = parser.parse_args()
    plan = Plan(date(2025, 1, 1), args.days, args.lines_per_day, args.seed, lines_per_customer=args.lines_per_customer)
    observer = Observer(plan, args.candidates)
    customer = observer.lines.customer
    by_customer = np.split(np.argsort(customer, kind="stable"), np.cumsum(np.bincount(customer))[:-1])
    said = np.full(len(observer.lines), np.nan)
    held = observer.holdout
    for buyer in np.unique(customer[held]):
        targets = held[customer[held] == buyer]
        said[targets] = observer.said(by_customer[buyer], targets)
    model, best, share = share_of_gain(observer.came_back(held), said[held], observer.truth.probability_label[held])
    print(
        f"{len(observer.lines):,} lines of {plan.days} days, {plan.lines_per_customer} per customer; {len(held):,} of hold-out: "
        f"AUC  truth {best:.4f}   ideal observer {model:.4f}   share of the gain over 0.5: {share:.1%}"
    )


if __name__ == "__main__":
    main()
