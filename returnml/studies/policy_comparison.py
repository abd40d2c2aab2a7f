"""Two policies on the same lines: which actions change, and what that is expected to cost. Pure; reads no table.

Both policies' actions are priced with the new policy's costs and effects: else a policy that states lower freight would
seem to save money by doing nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import msgspec
import numpy as np
import polars as pl

from returnml.policy.decisions import Decider
from returnml.policy.document import ACTIONS, Policy

DIMENSIONS = ("country", "product_group", "segment")
_KEYS = [*DIMENSIONS, "before", "after"]
_SUMS = ["lines", "cost_before_cents", "cost_after_cents", "own_cost_before_cents", "mature", "returned"]


class Lines(msgspec.Struct, frozen=True):
    """Scored lines.

    Attributes:
        probability: float32, shape (n,).
        line_value_cents: int64, shape (n,).
        returned: 0 or 1, -1 where the outcome is not mature, shape (n,).
        columns: what the policies read, and ``country`` and ``product_group``; each of length n.
    """

    probability: np.ndarray
    line_value_cents: np.ndarray
    returned: np.ndarray
    columns: Mapping[str, list[Any]]


class Change(msgspec.Struct, frozen=True):
    """Lines of one kind under both policies.

    Attributes:
        cost_before_cents, cost_after_cents: expected with the current and the new policy's actions.
        changed: lines whose action differs.
    """

    name: str
    lines: int
    changed: int
    cost_before_cents: int
    cost_after_cents: int

    @property
    def difference_cents(self) -> int:
        """Below 0 the new policy is cheaper."""
        return self.cost_after_cents - self.cost_before_cents


class ActionRate(msgspec.Struct, frozen=True):
    """How often a policy takes an action.

    Attributes:
        mature_before, mature_after: lines with a known outcome to which the policy gives the action.
        returned_before, returned_after: share of those that came back, as they were treated then; null without any.
    """

    action: str
    before: int
    after: int
    share_before: float
    share_after: float
    mature_before: int
    mature_after: int
    returned_before: float | None
    returned_after: float | None


class Transition(msgspec.Struct, frozen=True):
    """Lines that get ``before`` by the current policy and ``after`` by the new one."""

    before: str
    after: str
    lines: int
    cost_before_cents: int
    cost_after_cents: int
    mature: int
    returned: float | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The whole comparison.

    Attributes:
        own_cost_before_cents: of the current policy's actions, by its own costs and effects.
        dimensions: by dimension its values, the largest difference first.
        seconds: that reading and deciding took.
        in_training: lines left out, as the release that scored them may have learnt their outcome.
        decided_otherwise: lines that were scored under a policy that is not the current one.
        idle: what the new policy states and no line meets, in words.
    """

    first: date
    last: date
    currency: str
    current_policy: str
    new_policy: str
    total: Change
    own_cost_before_cents: int
    decided_otherwise: int
    in_training: int
    actions: list[ActionRate]
    transitions: list[Transition]
    dimensions: dict[str, list[Change]]
    idle: list[str] = []
    seconds: float = 0.0


class Comparing:
    """Adds up chunks of lines."""

    def __init__(self, current: Policy, new: Policy) -> None:
        self._current, self._new = Decider(current), Decider(new)
        self._segments = pl.Series([*(s.name for s in new.segments), "no segment"], dtype=pl.String)
        self.columns = tuple(dict.fromkeys([*self._current.columns, *self._new.columns, "country", "product_group"]))
        self._parts: list[pl.DataFrame] = []

    @property
    def is_empty(self) -> bool:
        return not self._parts

    def add(self, lines: Lines) -> None:
        """Decide about lines by both policies."""
        given = (lines.probability, lines.line_value_cents, lines.columns)
        before, after = self._current.decide(*given), self._new.decide(*given)
        priced = self._new.costs_cents(*given)[before.action, np.arange(len(before.action))]
        frame = pl.DataFrame(
            {
                "country": pl.Series(lines.columns["country"], dtype=pl.String).fill_null("unknown"),
                "product_group": pl.Series(lines.columns["product_group"], dtype=pl.String).fill_null("unknown"),
                "segment": self._segments.gather(np.where(after.segment < 0, len(self._segments) - 1, after.segment)),
                "before": before.action,
                "after": after.action,
                "lines": np.ones(len(lines.probability), np.int64),
                "cost_before_cents": np.rint(priced).astype(np.int64),
                "cost_after_cents": after.action_cost_cents,
                "own_cost_before_cents": before.action_cost_cents,
                "mature": (lines.returned >= 0).astype(np.int64),
                "returned": np.maximum(lines.returned, 0).astype(np.int64),
            }
        )
        self._parts.append(_summed(frame, _KEYS))

    def cube(self) -> pl.DataFrame:
        """Sums by country, product group, segment and both actions."""
        return _summed(pl.concat(self._parts), _KEYS)


def totals(cube: pl.DataFrame) -> tuple[Change, int]:
    """Over all lines; and what the current policy's actions cost by its own account."""
    return _change("all lines", cube), int(cube["own_cost_before_cents"].sum())


def action_rates(cube: pl.DataFrame) -> list[ActionRate]:
    """In the order of ``ACTIONS``."""
    lines = max(int(cube["lines"].sum()), 1)
    rates = []
    for i, action in enumerate(ACTIONS):
        sides = [cube.filter(pl.col(side) == i) for side in ("before", "after")]
        n, mature, returned = ([int(side[c].sum()) for side in sides] for c in ("lines", "mature", "returned"))
        rates.append(
            ActionRate(
                action,
                before=n[0],
                after=n[1],
                share_before=n[0] / lines,
                share_after=n[1] / lines,
                mature_before=mature[0],
                mature_after=mature[1],
                returned_before=_share(returned[0], mature[0]),
                returned_after=_share(returned[1], mature[1]),
            )
        )
    return rates


def transitions(cube: pl.DataFrame) -> list[Transition]:
    """Those that occur, mildest first."""
    summed = _summed(cube, ["before", "after"])
    return [
        Transition(
            ACTIONS[row["before"]],
            ACTIONS[row["after"]],
            row["lines"],
            row["cost_before_cents"],
            row["cost_after_cents"],
            row["mature"],
            _share(row["returned"], row["mature"]),
        )
        for row in summed.iter_rows(named=True)
    ]


def changes_by(cube: pl.DataFrame, dimension: str) -> list[Change]:
    """One for each value, the largest difference first."""
    parts = cube.partition_by(dimension, as_dict=True)
    changes = [_change(str(name), part) for (name,), part in parts.items()]
    return sorted(changes, key=lambda change: (-abs(change.difference_cents), change.name))


def idle_parts(cube: pl.DataFrame, policy: Policy) -> list[str]:
    """Segments and product groups of a policy that no line meets: misspelt, or of another shop."""
    segments, groups = (set(cube[dimension].unique()) for dimension in ("segment", "product_group"))
    return [
        *(f"segment {s.name!r} decides about no line" for s in policy.segments if s.name not in segments),
        *(f"no line is of product group {name!r}" for name in policy.product_groups if name not in groups),
    ]


def _change(name: str, part: pl.DataFrame) -> Change:
    changed = part.filter(pl.col("before") != pl.col("after"))
    before, after = int(part["cost_before_cents"].sum()), int(part["cost_after_cents"].sum())
    return Change(name, int(part["lines"].sum()), int(changed["lines"].sum()), before, after)


def _summed(frame: pl.DataFrame, keys: Iterable[str]) -> pl.DataFrame:
    keys = list(keys)
    return frame.group_by(keys).agg(pl.col(_SUMS).sum()).sort(keys)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
