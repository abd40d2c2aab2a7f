"""From evidence to a verdict."""

from __future__ import annotations

import numpy as np

from returnml.modeling.judging.gates.champion import champion_gates
from returnml.modeling.judging.gates.evidence import Evidence
from returnml.modeling.judging.gates.exported_decisions import (
    flips_gate,
    parity_gate,
    threshold_gaps,
    thresholds_gate,
)
from returnml.modeling.judging.gates.quality import quality_gates
from returnml.modeling.judging.gates.refit_gate import refit_gate
from returnml.modeling.judging.gates.reliability import (
    calibration_gate,
    season_gate,
    segments_gate,
    segments_of,
)
from returnml.modeling.judging.gates.suspicious_features import feature_gates
from returnml.modeling.judging.gates.verdict import (
    GATES,
    Gate,
    Verdict,
)
from returnml.settings import GateSettings


def judge(evidence: Evidence, settings: GateSettings) -> Verdict:
    """Judge a candidate; nothing is raised for what it lacks."""
    gaps, segments = threshold_gaps(evidence), segments_of(evidence, settings)
    gates = [
        _training_data(evidence),
        _enough(evidence, settings.min_holdout_returns),
        parity_gate(evidence),
        flips_gate(evidence),
        thresholds_gate(gaps, evidence.evaluation.parity.max_abs_difference),
        _servable(evidence),
        _not_constant(evidence),
        _calibration_rises(evidence),
        *quality_gates(evidence, settings),
        *feature_gates(evidence, settings),
        calibration_gate(evidence, settings.max_calibration_error),
        season_gate(evidence, settings.max_calibration_error),
        segments_gate(segments, evidence.words),
        refit_gate(evidence, settings),
        *champion_gates(evidence, settings),
    ]
    order = list(GATES)
    return Verdict(
        compared_with=evidence.rival.version if evidence.rival else None,
        policy_hash=evidence.policy.hash,
        gates=sorted(gates, key=lambda gate: order.index(gate.name)),
        thresholds=gaps,
        segments=segments,
    )


def _training_data(evidence: Evidence) -> Gate:
    broken = "; ".join(f"{name}: {message}" for name, message in evidence.data_problems.items() if message)
    failed = sum(bool(message) for message in evidence.data_problems.values())
    reason = broken or f"{len(evidence.data_problems)} checks of the training data hold"
    return Gate(name="training_data", passed=not failed, value=float(failed), limit=0.0, reason=reason)


def _enough(evidence: Evidence, limit: int) -> Gate:
    words, positives = evidence.words, evidence.evaluation.positives
    negatives = evidence.evaluation.rows - positives
    return Gate(
        name="enough_evidence",
        passed=min(positives, negatives) >= limit,
        value=float(min(positives, negatives)),
        limit=float(limit),
        reason=f"of the hold-out's {words.rows} {positives:,} {words.positive} and {negatives:,} {words.negative}; "
        f"{limit} of each are needed",
    )


def _servable(evidence: Evidence) -> Gate:
    problems = evidence.serving_problems
    return Gate(
        name="servable",
        passed=not problems,
        value=float(len(problems)),
        limit=0.0,
        reason="; ".join(problems) or "what the service builds from it was built and asked",
    )


def _not_constant(evidence: Evidence) -> Gate:
    scores = min(len(np.unique(evidence.probability)), len(np.unique(evidence.from_graph)))
    said = f"{scores:,} different scores on {len(evidence.probability):,} hold-out {evidence.words.rows}"
    return Gate(name="not_constant", passed=scores > 1, value=float(scores), limit=2.0, reason=said)


def _calibration_rises(evidence: Evidence) -> Gate:
    problem = evidence.calibration_problem
    return Gate(
        name="calibration_rises",
        passed=not problem,
        value=None,
        limit=None,
        reason=problem or f"of higher scores more {evidence.words.positive}, out of time",
    )
