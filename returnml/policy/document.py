"""The policy file: what returns cost, what an action does, and the rule that chooses one. Shapes, defaults and reading.

Every field has a default, so that a policy file states only what differs. ``docs/policy.md`` explains each.
"""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from returnml.errors import Refusal
from returnml.files import sha256

Action = Literal["allow", "nudge", "review", "restrict"]
ACTIONS: tuple[Action, ...] = ("allow", "nudge", "review", "restrict")
"""From the mildest to the hardest; where two cost the same the milder one is taken."""

SEGMENT_COLUMNS = ("country", "payment_method", "device", "product_group", "brand")

Cents = Annotated[int, msgspec.Meta(ge=0, lt=1 << 36)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class PolicyError(Refusal):
    """A policy that cannot be read; the message names the file and the field."""


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a return of a line costs, and what a sale earns.

    Attributes:
        freight_cents, handling_cents: of one return, minor units of the shop's currency.
        markdown_share: of the line's value, lost when it comes back.
        margin_share: of the line's value, earned when it is kept; lost with a sale that an action deters.
    """

    freight_cents: Cents = 450
    handling_cents: Cents = 300
    markdown_share: Share = 0.15
    margin_share: Share = 0.4


class GroupCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Costs of one product group that differ from the shop's."""

    freight_cents: Cents | None = None
    handling_cents: Cents | None = None
    markdown_share: Share | None = None
    margin_share: Share | None = None


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an action does: the shop's estimates.

    Attributes:
        prevented_share: of the returns that would have come.
        deterred_share: of the sales that would have been made.
        cost_cents: of doing it once.
    """

    prevented_share: Share = 0.0
    deterred_share: Share = 0.0
    cost_cents: Cents = 0


class Effects(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of each action; ``allow`` does nothing."""

    nudge: Effect = Effect(0.08, 0.01, 0)
    review: Effect = Effect(0.35, 0.06, 150)
    restrict: Effect = Effect(0.9, 0.5, 0)

    def of(self, action: str) -> Effect:
        return Effect() if action == "allow" else getattr(self, action)


class LeastCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="least_cost", tag_field="kind"):
    """Take the action with the least expected cost, of those that are allowed."""

    actions: tuple[Action, ...] = ACTIONS


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="thresholds", tag_field="kind"):
    """Take the hardest action whose threshold the probability reaches; null: never."""

    nudge: Share | None = None
    review: Share | None = None
    restrict: Share | None = None


Rule = LeastCost | Thresholds


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines with a rule of their own; the first segment that matches counts.

    Attributes:
        where: by column the values of which the line must have one; all columns must match.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    where: dict[str, list[str]]
    rule: Rule


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that turns a probability into an action.

    Attributes:
        product_groups: costs by product group.
        rule: default: the least cost, but nobody is restricted unless the shop says so.
        exploration_share: of the orders whose lines are all allowed, whatever the rule says, and are marked: only there
            is it seen what would have come back untouched.
        exploration_seed: another one draws other orders.
    """

    costs: Costs = Costs()
    product_groups: dict[str, GroupCosts] = {}
    effects: Effects = Effects()
    rule: Rule = LeastCost(("allow", "nudge", "review"))
    segments: tuple[Segment, ...] = ()
    exploration_share: Share = 0.0
    exploration_seed: str = "1"

    def __post_init__(self) -> None:
        names: set[str] = set()
        for i, segment in enumerate(self.segments):
            if segment.name in names:
                raise ValueError(f"segments[{i}].name: {segment.name!r} stands twice")
            names.add(segment.name)
            for column, values in segment.where.items():
                if column not in SEGMENT_COLUMNS:
                    raise ValueError(f"segments[{i}].where: {column!r} is none of {', '.join(SEGMENT_COLUMNS)}")
                if not values:
                    raise ValueError(f"segments[{i}].where.{column}: no value")
            if not segment.where:
                raise ValueError(f"segments[{i}].where: no column; the shop's own rule is `rule`")
        for place, rule in [("rule", self.rule), *((f"segments[{i}].rule", s.rule) for i, s in enumerate(self.segments))]:
            _check(place, rule)

    @property
    def hash(self) -> str:
        """Of the content: 12 hex digits of its sha256."""
        return sha256(encode(self))[:12]


def _check(place: str, rule: Rule) -> None:
    if isinstance(rule, LeastCost):
        if not rule.actions:
            raise ValueError(f"{place}.actions: none")
        return
    reached = [(name, value) for name in ACTIONS[1:] if (value := getattr(rule, name)) is not None]
    for (milder, low), (harder, high) in pairwise(reached):
        if low > high:
            raise ValueError(f"{place}: {harder} at {high} lies below {milder} at {low}")


def encode(policy: Policy) -> bytes:
    """Canonical JSON."""
    return msgspec.json.encode(policy, order="sorted")


def read_policy(file: Path | None) -> Policy:
    """The policy of a TOML file; the defaults where there is none.

    A file without any field is refused: it is one that is being written, rather than a wish for the defaults.

    Raises:
        PolicyError: naming the file and the field.
    """
    if file is None:
        return Policy()
    try:
        document = tomllib.loads(file.read_text())
        if not document:
            raise PolicyError(f"{file}: it states nothing; without a policy file the defaults hold")
        return msgspec.convert(document, Policy)
    except OSError as error:
        raise PolicyError(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise PolicyError(f"{file}: {error}") from error
