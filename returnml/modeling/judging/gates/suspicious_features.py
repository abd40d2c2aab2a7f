"""Features that make the model suspicious: one that knows the answer, one that is the whole model, one that died."""

from __future__ import annotations

import numpy as np

from returnml.modeling.data.spread import evenly_spread
from returnml.modeling.judging.gates.evidence import Evidence
from returnml.modeling.judging.gates.verdict import Gate
from returnml.settings import GateSettings

_MAX_ROWS = 50_000
"""Of the hold-out, for one feature's AUC: its standard error is below 0.005 then."""


def feature_gates(evidence: Evidence, settings: GateSettings) -> list[Gate]:
    return [
        _leak(evidence, settings),
        _dominant(evidence, settings.max_gain_share),
        _dead(evidence, settings.max_dead_gain_share),
    ]


def feature_aucs(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How well each feature alone orders lines, in whichever direction, missing values at the better end.

    Args:
        x: shape (n, features).
        y: 0 or 1, shape (n,), both present.

    Returns:
        float64 in [0.5, 1], shape (features,).
    """
    rows = evenly_spread(len(y), _MAX_ROWS)
    x, y = x[rows], y[rows].astype(np.float64)
    return np.array([_auc(x[:, j], y) for j in range(x.shape[1])])


def _auc(values: np.ndarray, y: np.ndarray) -> float:
    missing = np.isnan(values)
    fills = (-np.inf, np.inf) if missing.any() else (0.0,)
    best = 0.5
    for fill in fills:
        _, codes = np.unique(np.where(missing, np.float32(fill), values), return_inverse=True)
        positive = np.bincount(codes, weights=y)
        negative = np.bincount(codes) - positive
        pairs = positive.sum() * negative.sum()
        wins = float(positive @ (np.cumsum(negative) - negative / 2))
        best = max(best, abs(wins / pairs - 0.5) + 0.5) if pairs else best
    return best


def _leak(evidence: Evidence, settings: GateSettings) -> Gate:
    held, model = evidence.holdout, evidence.evaluation.figures["auc"]
    alone = feature_aucs(held.x, held.y)
    best = int(alone.argmax())
    limit = max(0.5 + settings.max_single_feature_share * (model - 0.5), settings.max_single_feature_auc)
    return Gate(
        name="no_leaking_feature",
        passed=bool(alone[best] <= limit),
        value=float(alone[best]),
        limit=limit,
        reason=f"{evidence.names[best]} alone reaches an AUC of {alone[best]:.4f}, the model {model:.4f}; allowed is {limit:.4f} "
        "(one that strong, and as good as all together, usually knows the outcome)",
    )


def _dominant(evidence: Evidence, limit: float) -> Gate:
    top = int(evidence.importance.argmax())
    share = float(evidence.importance[top])
    return Gate(
        name="no_dominant_feature",
        passed=share <= limit,
        value=share,
        limit=limit,
        reason=f"{evidence.names[top]} has {share:.1%} of the trees' gain; allowed is {limit:.0%}",
    )


def _dead(evidence: Evidence, limit: float) -> Gate:
    """Constant in training as well is a column that the shop does not deliver: the trees cannot use it."""
    used = np.flatnonzero(evidence.importance > 0)
    dead = [int(j) for j in used if not varies(evidence.holdout.x[:, j])]
    share = float(evidence.importance[dead].sum())
    named = f" ({', '.join(evidence.names[j] for j in dead[:5])})" if dead else ""
    constant = int(np.count_nonzero(~evidence.varied))
    return Gate(
        name="no_dead_feature",
        passed=share <= limit,
        value=share,
        limit=limit,
        reason=f"{len(dead)} of {len(used)} features in use have one value on the whole hold-out{named}: {share:.1%} of the "
        f"gain; {constant} of {len(evidence.names)} features are constant in training and in no use",
    )


def varies(values: np.ndarray) -> bool:
    """Whether a column has more than one value; missing is one."""
    missing = np.isnan(values)
    if missing.all() or not missing.any():
        return not missing.all() and bool(values.min() != values.max())
    return True
