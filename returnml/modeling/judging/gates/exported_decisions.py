"""Whether the exported graph decides as the trained model does, and whether rounding could ever change that."""

from __future__ import annotations

import numpy as np

from returnml.modeling.judging.gates.evidence import Evidence
from returnml.modeling.judging.gates.verdict import (
    Gate,
    ThresholdGap,
)
from returnml.policy.decisions import Decider
from returnml.policy.document import ACTIONS, Thresholds


def parity_gate(evidence: Evidence) -> Gate:
    parity = evidence.evaluation.parity
    return Gate(
        name="export_parity",
        passed=parity.holds,
        value=parity.max_abs_difference,
        limit=parity.tolerance,
        reason=f"{parity.rows_over_tolerance} of {parity.rows:,} {evidence.words.rows} have another probability from the "
        f"exported graph than from the trained model (largest difference {parity.max_abs_difference:.2g}, allowed "
        f"{parity.tolerance:g}); {parity.single_rows_different} of {parity.single_rows} differ alone and in a batch",
    )


def flips_gate(evidence: Evidence) -> Gate:
    """Every hold-out line, decided from both."""
    decider, held = Decider(evidence.policy), evidence.holdout
    graph, trees = (decider.decide(p, held.value_cents, held.facts).action for p in (evidence.from_graph, evidence.from_trees))
    flipped = np.flatnonzero(graph != trees)
    example = ""
    if len(flipped):
        i = flipped[0]
        example = (
            f"; the first: {ACTIONS[trees[i]]} at {evidence.from_trees[i]:.6f} becomes {ACTIONS[graph[i]]} at "
            f"{evidence.from_graph[i]:.6f}"
        )
    reason = f"{len(flipped)} of {len(graph):,} hold-out {evidence.words.rows} get another action after the export (policy "
    return Gate(
        name="no_flipped_decision",
        passed=not len(flipped),
        value=float(len(flipped)),
        limit=0.0,
        reason=f"{reason}{evidence.policy.hash}){example}",
    )


def threshold_gaps(evidence: Evidence) -> list[ThresholdGap]:
    """Every threshold of the policy among the graph's scores of the lines that it decides about."""
    policy, held = evidence.policy, evidence.holdout
    segment = Decider(policy).segment_of(held.facts, len(held.y))
    found = []
    for i, (name, rule) in enumerate([("rule", policy.rule), *((s.name, s.rule) for s in policy.segments)], start=-1):
        if not isinstance(rule, Thresholds):
            continue
        scores = np.unique(evidence.from_graph[segment == i].astype(np.float64))
        for action in ACTIONS[1:]:
            threshold = getattr(rule, action)
            if threshold is not None:
                found.append(_gap(name, action, threshold, scores))
    return found


def _gap(rule: str, action: str, threshold: float, scores: np.ndarray) -> ThresholdGap:
    # A score equal to the threshold reaches it: it lies above.
    at = int(np.searchsorted(scores, threshold, side="left"))
    below = float(scores[at - 1]) if at else None
    above = float(scores[at]) if at < len(scores) else None
    mid_gap = None if below is None or above is None else (below + above) / 2
    return ThresholdGap(rule=rule, action=action, threshold=threshold, below=below, above=above, mid_gap=mid_gap)


def thresholds_gate(gaps: list[ThresholdGap], rounding: float) -> Gate:
    """
    Args:
        rounding: the largest difference between graph and trained model that was seen.
    """
    near = min(gaps, key=lambda gap: gap.distance, default=None)
    if near is None or near.distance == float("inf"):
        reason = "no rule of the policy has a threshold" if near is None else "no score was attained beside a threshold"
        return Gate(name="thresholds_between_scores", passed=True, value=None, limit=rounding, reason=reason)
    advice = "" if near.mid_gap is None else f"; halfway between its neighbours is {near.mid_gap!r}"
    return Gate(
        name="thresholds_between_scores",
        passed=near.distance > rounding,
        value=near.distance,
        limit=rounding,
        reason=f"{near.action} at {near.threshold} ({near.rule}) lies {near.distance:.2g} from the nearest score; rounding moves "
        f"scores by up to {rounding:.2g}{advice}",
    )
