"""Whether probabilities mean what they say: over all lines, and in every large segment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from returnml.instants import day_of
from returnml.modeling.judging.gates.evidence import Evidence
from returnml.modeling.judging.gates.verdict import (
    Gate,
    SegmentCalibration,
)
from returnml.modeling.judging.metrics import (
    CALIBRATION_BINS,
    ScoredSample,
)
from returnml.settings import GateSettings
from returnml.tasks.declaration import Words

SEGMENTS = ("product_group", "country")
_LEVEL = 0.05


def calibration_gate(evidence: Evidence, limit: float) -> Gate:
    """The expected calibration error, beyond what chance alone shows on so few lines."""
    measured = evidence.evaluation
    chance = chance_calibration_error(measured.positives / measured.rows, measured.rows)
    error = measured.figures["calibration_error"]
    said, happened = measured.figures["mean_probability"], measured.figures["base_rate"]
    return Gate(
        name="calibrated",
        passed=error <= limit + chance,
        value=error,
        limit=limit + chance,
        reason=f"calibration error {error:.4f}, allowed {limit:g} and {chance:.4f} for chance; {said:.2%} were predicted, "
        f"{happened:.2%} {evidence.words.positive}",
    )


def season_gate(evidence: Evidence, limit: float) -> Gate:
    """The same over all origins, as was said then: over a season, through which the rate of positives may have moved."""
    y, said = evidence.pooled
    both = y.min() != y.max()
    error = ScoredSample(y, said).figures()["calibration_error"] if both else 0.0
    allowed = limit + chance_calibration_error(float(y.mean()), len(y))
    rates = ", ".join(
        f"from {day_of(o.start_us)} {o.mean_probability:.2%} and {o.base_rate:.2%} (trained on {o.base_rate_before:.2%})"
        for o in evidence.evaluation.origins
    )
    return Gate(
        name="calibrated_over_time",
        passed=error <= allowed,
        value=error,
        limit=allowed,
        reason=f"calibration error {error:.4f} of what was said at {len(evidence.evaluation.origins)} origins, allowed "
        f"{allowed:.4f}; predicted and actual rates {rates}",
    )


def chance_calibration_error(base_rate: float, rows: int) -> float:
    """The calibration error that a perfectly calibrated model shows on so few rows: the mean absolute value of a normal
    deviation in bins of equal size.

    >>> round(chance_calibration_error(0.3, 1_260), 3), round(chance_calibration_error(0.3, 1_000_000), 4)
    (0.04, 0.0014)
    """
    return math.sqrt(2 / math.pi * base_rate * (1 - base_rate) * CALIBRATION_BINS / rows)


def segments_of(evidence: Evidence, settings: GateSettings) -> list[SegmentCalibration]:
    """All lines, then every large segment, largest first."""
    held = evidence.holdout
    customer = np.unique(held.customer, return_inverse=True)[1]
    parts: list[tuple[str, str | None, np.ndarray]] = [("all", None, np.arange(len(held.y)))]
    for column in SEGMENTS:
        if all(value is None for value in held.facts[column]):
            continue  # the task knows no such segment
        for value, rows in _large(held.facts[column], settings.min_segment_lines):
            parts.append((column, value, rows))
    # One of many segments is off by chance more easily than one alone (Bonferroni).
    z = NormalDist().inv_cdf(1 - _LEVEL / 2 / len(parts))
    found = []
    for column, value, rows in parts:
        excess = evidence.probability[rows] - held.y[rows]
        by_customer = np.bincount(customer[rows], weights=excess - excess.mean())
        actual = float(held.y[rows].mean())
        found.append(
            SegmentCalibration(
                column=column,
                value=value,
                lines=len(rows),
                predicted=float(evidence.probability[rows].mean()),
                actual=actual,
                allowed_gap=settings.max_segment_gap_share * actual,
                noise=z * math.sqrt(float(by_customer @ by_customer)) / len(rows),
            )
        )
    return found


def _large(values: Sequence[str | None], least: int) -> list[tuple[str | None, np.ndarray]]:
    rows: dict[str | None, list[int]] = {}
    for i, value in enumerate(values):
        rows.setdefault(value, []).append(i)
    large = [(value, np.array(members)) for value, members in rows.items() if len(members) >= least]
    return sorted(large, key=lambda part: (-len(part[1]), part[0] or ""))


def segments_gate(segments: list[SegmentCalibration], words: Words) -> Gate:
    """The segment that is furthest from its bounds decides."""
    worst = max(segments, key=lambda s: s.gap - s.allowed_gap - s.noise)
    off = [s.name for s in segments if not s.is_calibrated]
    named = f"off are {', '.join(off[:5])}; " if off else ""
    return Gate(
        name="calibrated_in_segments",
        passed=not off,
        value=worst.gap,
        limit=worst.allowed_gap + worst.noise,
        reason=f"{len(segments) - len(off)} of {len(segments)} large segments are within bounds; {named}nearest to or furthest "
        f"beyond them is {worst.name}: {worst.predicted:.2%} predicted, {worst.actual:.2%} {words.positive} of {worst.lines:,} "
        f"{words.rows}, allowed gap {worst.allowed_gap:.2%} and {worst.noise:.2%} for chance",
    )
