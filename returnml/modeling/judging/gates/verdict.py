"""The verdict on a candidate: every gate with its figure, its limit and a reason in plain words."""

from __future__ import annotations

import msgspec

from returnml.release.folder import Release

GATES_FILE = "gates.json"
GATES = {
    "training_data": "The training data passed their checks.",
    "enough_evidence": "The hold-out has enough rows of either label to judge by.",
    "export_parity": "The exported graph gives what the trained model gives.",
    "no_flipped_decision": "Graph and trained model decide the same about every hold-out row.",
    "thresholds_between_scores": "No threshold of the policy lies closer to a score than the export's rounding.",
    "servable": "The service can be built from it: request, read plan and reasons.",
    "not_constant": "The model tells rows apart.",
    "calibration_rises": "Calibration keeps the model's order: of higher scores more are positive.",
    "better_than_chance": "It orders rows better than chance.",
    "beats_baselines": "Log loss is below every baseline's, and rows are not shown to be ordered worse.",
    "not_too_good": "It does not order rows better than anybody could know.",
    "no_leaking_feature": "No feature alone orders rows nearly as well as the whole model.",
    "no_dominant_feature": "No feature makes up most of the model.",
    "no_dead_feature": "What the model uses still varies on the hold-out.",
    "calibrated": "Probabilities mean what they say, over all rows.",
    "calibrated_over_time": "And over a season of out-of-time scores.",
    "calibrated_in_segments": "And in every large product group and country.",
    "refit_is_close": "The refit says of young rows what the judged model says.",
    "log_loss_not_worse": "The recipe's log loss is at least as good as the champion's recipe's, at the same origins.",
    "cost_not_worse": "The policy's cost is at least as good as with the champion's recipe.",
    "champion_not_better": "The champion itself is not better on rows that matured after it was made.",
}
"""Every gate and what it says when it holds, in the order of their telling."""


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One requirement.

    Attributes:
        value, limit: what was found and what was allowed; None where there was nothing to measure.
        reason: why it holds or does not, with the figures.
    """

    name: str
    passed: bool
    value: float | None
    limit: float | None
    reason: str


class ThresholdGap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a threshold of the policy lies among the scores that were attained.

    Attributes:
        rule: ``rule``, or the segment's name.
        below, above: the nearest attained scores; None: there is none on that side.
        mid_gap: halfway between them: decides the same on these lines, as far from any score as possible.
    """

    rule: str
    action: str
    threshold: float
    below: float | None
    above: float | None
    mid_gap: float | None

    @property
    def distance(self) -> float:
        """To the nearest attained score."""
        return min(abs(self.threshold - s) for s in (self.below, self.above, float("inf")) if s is not None)


class SegmentCalibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was predicted for a large segment and what happened.

    Attributes:
        column, value: of the segment; column ``all`` is every line, value None: the column is missing.
        allowed_gap: between the two rates.
        noise: added to it: what chance alone may show, customers taken as clusters.
    """

    column: str
    value: str | None
    lines: int
    predicted: float
    actual: float
    allowed_gap: float
    noise: float

    @property
    def gap(self) -> float:
        return abs(self.predicted - self.actual)

    @property
    def is_calibrated(self) -> bool:
        return self.gap <= self.allowed_gap + self.noise

    @property
    def name(self) -> str:
        return "all rows" if self.column == "all" else f"{self.column} {'(missing)' if self.value is None else self.value}"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gates of a candidate, in ``GATES`` order.

    Attributes:
        compared_with: the champion it was held against; None: there was none that could be.
    """

    compared_with: str | None
    policy_hash: str
    gates: list[Gate]
    thresholds: list[ThresholdGap]
    segments: list[SegmentCalibration]

    @property
    def failed(self) -> list[Gate]:
        return [gate for gate in self.gates if not gate.passed]

    @property
    def passed(self) -> bool:
        return not self.failed

    @property
    def reason(self) -> str:
        """In one line."""
        return "; ".join(f"{gate.name}: {gate.reason}" for gate in self.failed) or "every gate holds"


def read_verdict(release: Release) -> Verdict:
    """What a release was judged to be.

    Raises:
        ReleaseError: if it holds no verdict, or another than its manifest names.
    """
    return msgspec.json.decode(release.read(GATES_FILE), type=Verdict)
