"""Whether what is deployed says what the judged model says, where neither has seen the rows."""

from __future__ import annotations

from returnml.modeling.judging.gates.evidence import Evidence
from returnml.modeling.judging.gates.verdict import Gate
from returnml.settings import GateSettings

STEPS_ALLOWED = 1.5
"""The refit learns more at once than one origin adds to the one before."""


def refit_gate(evidence: Evidence, settings: GateSettings) -> Gate:
    """Three bounds, each widened to what the recipe's own models moved from origin to origin; its value is the log loss lost."""
    found, words = evidence.closeness, evidence.words
    limit = settings.max_refit_loss_share
    if found is None:
        reason = f"too few {words.rows} are younger than the mature ones to prove a refit by: the judged model itself is released"
        return Gate(name="refit_is_close", passed=True, value=None, limit=limit, reason=reason)
    moved = ", ".join(f"{name} {n:,}" for name, n in found.moved.items()) or "none"
    mean_limit, moved_limit = settings.max_refit_mean_gap_share, settings.max_refit_moved_share
    if found.steps is not None:
        limit = max(limit, STEPS_ALLOWED * found.steps.loss_share)
        mean_limit = max(mean_limit, STEPS_ALLOWED * found.steps.mean_gap_share)
        moved_limit = max(moved_limit, STEPS_ALLOWED * found.steps.moved_share)
    bounds = {
        "log loss": found.loss_share <= limit,
        "mean": found.mean_gap_share <= mean_limit,
        "actions": found.moved_share <= moved_limit,
    }
    beyond = [name for name, holds in bounds.items() if not holds]
    reason = (
        f"on {found.rows:,} younger {words.rows} the refit would lose {found.loss_share:.2%} of the log loss if the judged model "
        f"were right (allowed {limit:.1%}); mean {found.mean_refit:.2%} against {found.mean_judged:.2%} (allowed "
        f"{mean_limit:.1%} of it); the policy does otherwise with {found.moved_share:.2%} (allowed {moved_limit:.1%}): {moved}"
    )
    if beyond:
        reason += f"; beyond its bound: {', '.join(beyond)}"
    return Gate(name="refit_is_close", passed=not beyond, value=found.loss_share, limit=limit, reason=reason)
