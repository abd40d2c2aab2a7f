"""From probabilities to actions, by a policy. The same bits for one line and for a million: + - * and comparisons only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from returnml.policy.document import ACTIONS, Action, Costs, LeastCost, Policy, Rule

_EXPLORED_OF = 1 << 64


@dataclass(frozen=True)
class Decisions:
    """What is decided about lines; every array has shape (n,).

    Attributes:
        action: int8, position in ``ACTIONS``.
        expected_cost_cents: int64, of the line's returns if it is allowed; rounded half to even.
        action_cost_cents: int64, expected with the action taken: returns that still come, sales that it deters, and
            the action itself.
        segment: int16, position in the policy's segments; -1 for none.
        is_explored: bool, allowed by the draw and not by the rule.
    """

    action: np.ndarray
    expected_cost_cents: np.ndarray
    action_cost_cents: np.ndarray
    segment: np.ndarray
    is_explored: np.ndarray

    def action_names(self) -> list[Action]:
        return [ACTIONS[i] for i in self.action.tolist()]


class Decider:
    """A policy, prepared.

    Attributes:
        columns: of the lines that ``decide`` reads.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        own = [policy.costs, *(_with(policy.costs, group) for group in policy.product_groups.values())]
        self._group = {name: i for i, name in enumerate(policy.product_groups, start=1)}
        self._fixed = np.array([float(c.freight_cents + c.handling_cents) for c in own])
        self._markdown = np.array([c.markdown_share for c in own])
        self._margin = np.array([c.margin_share for c in own])
        effects = [policy.effects.of(action) for action in ACTIONS]
        self._deterred = np.array([[e.deterred_share] for e in effects])
        self._kept_returns = np.array([[(1.0 - e.deterred_share) * (1.0 - e.prevented_share)] for e in effects])
        self._doing = np.array([[float(e.cost_cents)] for e in effects])
        self._segments = [{column: frozenset(values) for column, values in s.where.items()} for s in policy.segments]
        self._rules = [policy.rule, *(s.rule for s in policy.segments)]
        self._bound = int(policy.exploration_share * _EXPLORED_OF)
        self.columns = _columns_of(policy)
        self._salt = hashlib.sha256(policy.exploration_seed.encode())

    def decide(self, probability: np.ndarray, line_value_cents: np.ndarray, lines: Mapping[str, Sequence[Any]]) -> Decisions:
        """Decide about lines.

        Args:
            probability: of a return, float32 or float64, shape (n,).
            line_value_cents: quantity times price, int64, shape (n,).
            lines: at least ``columns``, each of length n; None is missing and matches no value.

        Raises:
            KeyError: naming a column that is absent.
        """
        n = len(probability)
        p = probability.astype(np.float64)
        costs = self.costs_cents(p, line_value_cents, lines)
        segment = self.segment_of(lines, n)
        action = self._choose(p, costs, segment)
        explored = self._explored(lines["order_id"]) if self._bound else np.zeros(n, bool)
        action = np.where(explored, np.int8(0), action)
        taken = costs[action, np.arange(n)]
        expected, with_action = (np.rint(cents).astype(np.int64) for cents in (costs[0], taken))
        return Decisions(action, expected, with_action, segment, explored)

    def costs_cents(
        self, probability: np.ndarray, line_value_cents: np.ndarray, lines: Mapping[str, Sequence[Any]]
    ) -> np.ndarray:
        """What every action is expected to cost; arguments as of ``decide``. With what happened (0 or 1) as the
        probability: what it would have cost.

        Returns:
            float64, shape (actions, n), in ``ACTIONS`` order.
        """
        p = probability.astype(np.float64)
        value = line_value_cents.astype(np.float64)
        group: Any = 0
        if self._group:
            known = self._group.get
            group = np.fromiter((known(g, 0) for g in lines["product_group"]), np.intp, len(p))
        returned = p * (self._fixed[group] + self._markdown[group] * value)
        earned = (1.0 - p) * (self._margin[group] * value)
        return self._kept_returns * returned + self._deterred * earned + self._doing

    def segment_of(self, lines: Mapping[str, Sequence[Any]], n: int) -> np.ndarray:
        """The policy's segment of each line: int16, shape (n,), -1 for none."""
        segment = np.full(n, -1, np.int16)
        for i in range(len(self._segments) - 1, -1, -1):
            matches = np.ones(n, bool)
            for column, values in self._segments[i].items():
                matches &= np.fromiter((v in values for v in lines[column]), bool, n)
            segment[matches] = i
        return segment

    def _choose(self, p: np.ndarray, costs: np.ndarray, segment: np.ndarray) -> np.ndarray:
        chosen = _by_rule(self._rules[0], p, costs)
        for i, rule in enumerate(self._rules[1:]):
            members = np.flatnonzero(segment == i)
            if len(members):
                chosen[members] = _by_rule(rule, p[members], costs[:, members])
        return chosen

    def _explored(self, order_ids: Sequence[str | None]) -> np.ndarray:
        """Draws whole orders by their id: every worker, batch and replay draw the same. Never draws a row without an order."""
        drawn: dict[str | None, bool] = {None: False}
        for order_id in order_ids:
            if order_id is not None and order_id not in drawn:
                digest = self._salt.copy()
                digest.update(order_id.encode("utf-8", "surrogatepass"))
                drawn[order_id] = int.from_bytes(digest.digest()[:8], "big") < self._bound
        return np.fromiter((drawn[order_id] for order_id in order_ids), bool, len(order_ids))


def _by_rule(rule: Rule, p: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """int8, shape (n,); of ``costs``, shape (actions, n)."""
    if isinstance(rule, LeastCost):
        allowed = sorted(ACTIONS.index(action) for action in rule.actions)
        if len(allowed) == len(ACTIONS):
            return costs.argmin(axis=0).astype(np.int8)
        return np.array(allowed, np.int8)[costs[allowed].argmin(axis=0)]
    chosen = np.zeros(len(p), np.int8)
    for i, action in enumerate(ACTIONS[1:], start=1):
        threshold = getattr(rule, action)
        if threshold is not None:
            chosen[p >= threshold] = i
    return chosen


def _columns_of(policy: Policy) -> tuple[str, ...]:
    found = ["order_id"] if policy.exploration_share else []
    found += ["product_group"] if policy.product_groups else []
    return tuple(dict.fromkeys([*found, *(column for segment in policy.segments for column in segment.where)]))


def _with(costs: Costs, group: Any) -> Costs:
    fields = costs.__struct_fields__
    return Costs(**{f: getattr(costs, f) if getattr(group, f) is None else getattr(group, f) for f in fields})
