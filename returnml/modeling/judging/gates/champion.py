"""The candidate beside the champion: as recipes on the same rows, and beside the champion itself on rows it never saw."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from returnml.modeling.export.parity import TOLERANCE
from returnml.modeling.judging.evaluation import REPLICATES
from returnml.modeling.judging.gates.evidence import (
    Evidence,
    HoldOut,
    Pair,
    Rival,
)
from returnml.modeling.judging.gates.verdict import Gate
from returnml.modeling.judging.metrics import (
    log_losses,
    mean_difference,
)
from returnml.policy.decisions import Decider
from returnml.policy.document import Policy
from returnml.settings import GateSettings

NAMES = ("log_loss_not_worse", "cost_not_worse", "champion_not_better")


def champion_gates(evidence: Evidence, settings: GateSettings) -> list[Gate]:
    """Log loss and cost of both recipes at the same origins, and log loss beside the champion itself; by paired customer
    bootstrap."""
    rival = evidence.rival
    if rival is None:
        reason = evidence.incomparable or "nothing decides yet: there is no champion to compare with"
        return [Gate(name=name, passed=True, value=None, limit=None, reason=reason) for name in NAMES]
    return [*_recipes(evidence, rival, settings), _itself(evidence, rival, settings)]


def _recipes(evidence: Evidence, rival: Rival, settings: GateSettings) -> list[Gate]:
    worse = settings.max_log_loss_worse_share, settings.max_cost_worse_share
    if rival.is_same_recipe:
        reason = f"the recipe is that of the champion {rival.version}: fitted on the same rows both are the same model"
        return [
            Gate(name=name, passed=True, value=0.0, limit=share, reason=reason) for name, share in zip(NAMES, worse, strict=False)
        ]
    pair = rival.recipes
    other = f"the recipe of the champion {rival.version}, both fitted at {rival.origins} origins,"
    ours, theirs = (policy_costs(evidence.policy, p, pair.part) for p in (pair.ours, pair.theirs))
    costs = Losses(ours, theirs, pair.part.customer)
    return [
        _not_worse(NAMES[0], "log loss", _log_losses(pair), worse[0], other, evidence.seed),
        _not_worse(NAMES[1], f"cents per {evidence.words.row}", costs, worse[1], other, evidence.seed),
    ]


def _itself(evidence: Evidence, rival: Rival, settings: GateSettings) -> Gate:
    pair, words = rival.itself, evidence.words
    positives = 0 if pair is None else int(pair.part.y.sum())
    rows = 0 if pair is None else len(pair.part.y)
    if pair is None or min(positives, rows - positives) < settings.min_holdout_returns:
        reason = (
            f"{rows:,} {words.rows} matured after the champion {rival.version} was made, {positives:,} of them {words.positive}: "
            "too few to judge it itself by; the recipes are compared"
        )
        return Gate(name=NAMES[2], passed=True, value=None, limit=None, reason=reason)
    other = f"the champion {rival.version} itself, the recipe fitted on what it was,"
    # The champion speaks by its graph in float32, the recipe by its trees: the same model twice differs by this rounding.
    said = np.where(pair.part.y == 1, pair.theirs, 1 - pair.theirs)
    rounding = TOLERANCE * float((1 / np.clip(said, TOLERANCE, 1)).mean())
    return _not_worse(NAMES[2], "log loss", _log_losses(pair), None, other, evidence.seed, rounding)


class Losses(NamedTuple):
    """What each row costs by either model, and whose it is, shape (n,)."""

    ours: np.ndarray
    theirs: np.ndarray
    customer: np.ndarray


def _log_losses(pair: Pair) -> Losses:
    return Losses(log_losses(pair.part.y, pair.ours), log_losses(pair.part.y, pair.theirs), pair.part.customer)


def policy_costs(policy: Policy, probability: np.ndarray, held: HoldOut) -> np.ndarray:
    """What each row costs with the actions that these probabilities lead to, given its label: cents,
    float64, shape (n,)."""
    decider = Decider(policy)
    action = decider.decide(probability, held.value_cents, held.facts).action
    return decider.costs_cents(held.y, held.value_cents, held.facts)[action, np.arange(len(action))]


def _not_worse(name: str, unit: str, losses: Losses, share: float | None, other: str, seed: int, rounding: float = 0.0) -> Gate:
    """Holds if the interval of the difference reaches down to 0, and up to no more than a share of the other's.

    Args:
        rounding: a mean difference that the export alone may make.
        share: None: being worse need not be ruled out, so that too few rows do not reject.
    """
    difference = losses.ours - losses.theirs
    value, low, high = mean_difference(difference, losses.customer, replicates=REPLICATES, seed=seed)
    limit = None if share is None else share * float(losses.theirs.mean())
    reason = f"{value:+.5f} {unit} against {other} on the same {len(difference):,} rows, 95% interval {low:+.5f} to {high:+.5f}"
    if low > rounding:
        reason += ": it is worse"
    elif limit is not None and high > limit:
        reason += f": it may be worse by more than {limit:.5f} ({share:.0%} of the other's)"
    if limit is None:
        return Gate(name=name, passed=low <= rounding, value=low, limit=rounding, reason=reason)
    return Gate(name=name, passed=low <= rounding and high <= limit, value=high, limit=limit, reason=reason)
