"""The candidate beside the champion, on mature lines that neither was trained on."""

from __future__ import annotations

import numpy as np

from returnml.modeling.judging.evaluation import REPLICATES
from returnml.modeling.judging.gates.evidence import (
    Evidence,
    HoldOut,
)
from returnml.modeling.judging.gates.verdict import Gate
from returnml.modeling.judging.metrics import (
    log_losses,
    mean_difference,
)
from returnml.policy.decisions import Decider
from returnml.policy.document import Policy
from returnml.settings import GateSettings


def champion_gates(evidence: Evidence, settings: GateSettings) -> list[Gate]:
    """Log loss and cost, each by paired customer bootstrap."""
    names = {"log_loss_not_worse": settings.max_log_loss_worse_share, "cost_not_worse": settings.max_cost_worse_share}
    rival = evidence.rival
    if rival is None:
        reason = evidence.incomparable or "nothing decides yet: there is no champion to compare with"
        return [Gate(name=name, passed=True, value=None, limit=None, reason=reason) for name in names]
    held = evidence.holdout
    rows = np.flatnonzero(held.anchor_us >= rival.unseen_from_us)
    positives = int(held.y[rows].sum())
    if min(positives, len(rows) - positives) < settings.min_holdout_returns:
        reason = (
            f"only {len(rows)} of {len(held.y)} hold-out {evidence.words.rows} were {evidence.words.anchored} after what the "
            f"champion {rival.version} was made from: no fair comparison"
        )
        return [Gate(name=name, passed=False, value=None, limit=None, reason=reason) for name in names]
    pairs = {
        "log_loss_not_worse": [log_losses(held.y[rows], p[rows]) for p in (evidence.from_graph, rival.probability)],
        "cost_not_worse": [policy_costs(evidence.policy, p, held)[rows] for p in (evidence.from_graph, rival.probability)],
    }
    units = {"log_loss_not_worse": "log loss", "cost_not_worse": f"cents per {evidence.words.row}"}
    return [
        _not_worse(name, units[name], ours, theirs, held.customer[rows], names[name], rival.version, evidence.seed)
        for name, (ours, theirs) in pairs.items()
    ]


def policy_costs(policy: Policy, probability: np.ndarray, held: HoldOut) -> np.ndarray:
    """What each row costs with the actions that these probabilities lead to, given its label: cents,
    float64, shape (n,)."""
    decider = Decider(policy)
    action = decider.decide(probability, held.value_cents, held.facts).action
    return decider.costs_cents(held.y, held.value_cents, held.facts)[action, np.arange(len(action))]


def _not_worse(
    name: str, unit: str, ours: np.ndarray, theirs: np.ndarray, customer: np.ndarray, share: float, champion: str, seed: int
) -> Gate:
    """Holds if the interval of the difference reaches down to 0, and up to no more than a share of the champion's."""
    value, low, high = mean_difference(ours - theirs, customer, replicates=REPLICATES, seed=seed)
    limit = share * float(theirs.mean())
    reason = (
        f"{value:+.5f} {unit} against the champion {champion} on the same {len(ours):,} rows, 95% interval {low:+.5f} to "
        f"{high:+.5f}"
    )
    if low > 0:
        reason += ": it is worse"
    elif high > limit:
        reason += f": it may be worse by more than {limit:.5f} ({share:.0%} of the champion's)"
    return Gate(name=name, passed=low <= 0 and high <= limit, value=high, limit=limit, reason=reason)
