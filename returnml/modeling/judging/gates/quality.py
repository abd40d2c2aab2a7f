"""Whether the model orders rows well enough to act on: better than chance, better than no model, not better than can be."""

from __future__ import annotations

from returnml.modeling.judging.evaluation import REPLICATES
from returnml.modeling.judging.gates.evidence import Evidence
from returnml.modeling.judging.gates.verdict import Gate
from returnml.modeling.judging.metrics import (
    ScoredSample,
    paired_difference,
)
from returnml.settings import GateSettings


def quality_gates(evidence: Evidence, settings: GateSettings) -> list[Gate]:
    auc = evidence.evaluation.figures["auc"]
    return [
        Gate(
            name="better_than_chance",
            passed=auc >= settings.min_auc,
            value=auc,
            limit=settings.min_auc,
            reason=f"AUC {auc:.4f}, at least {settings.min_auc:g} is asked for",
        ),
        baselines_gate(evidence),
        Gate(
            name="not_too_good",
            passed=auc <= settings.max_auc,
            value=auc,
            limit=settings.max_auc,
            reason=f"AUC {auc:.4f}; above {settings.max_auc:g} a feature must know the outcome",
        ),
    ]


def baselines_gate(evidence: Evidence) -> Gate:
    """Holds if the model's log loss is below each baseline's, and it is not shown to order rows worse.

    Its value is the log loss beside the baseline where the model gains least. That a gain may be chance is said and decides
    nothing.
    """
    held, sample = evidence.holdout, ScoredSample(evidence.holdout.y, evidence.probability)
    least, said, passed = -float("inf"), [], True
    for name, probability in evidence.baselines.items():
        beside = paired_difference(
            sample, ScoredSample(held.y, probability), held.customer, replicates=REPLICATES, seed=evidence.seed
        )
        (loss, loss_low, loss_high), (auc, auc_low, auc_high) = beside["log_loss"], beside["auc"]
        found = []
        if loss_high >= 0:
            found.append("it is worse" if loss_low > 0 else "the gain may be chance" if loss < 0 else "there is no gain")
        if auc_high < 0:
            found.append("it orders worse")
        passed, least = passed and loss < 0 <= auc_high, max(least, loss)
        said.append(
            f"against {name} {loss:+.5f} log loss (95% interval {loss_low:+.5f} to {loss_high:+.5f}) and {auc:+.4f} AUC "
            f"({auc_low:+.4f} to {auc_high:+.4f}){': ' if found else ''}{', '.join(found)}"
        )
    return Gate(name="beats_baselines", passed=passed, value=least, limit=0.0, reason="; ".join(said))
