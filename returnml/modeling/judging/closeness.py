"""How close one model's scores stay to another's, on rows that neither has seen. No label is needed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np

from returnml.modeling.data.snapshot import Rows
from returnml.policy.decisions import Decider
from returnml.policy.document import ACTIONS, SEGMENT_COLUMNS, Policy

_SMALLEST = 1e-7


class Steps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the recipe's own models lie from one origin to the next, on the same young rows: the largest of each figure."""

    loss_share: float
    mean_gap_share: float
    moved_share: float


class Closeness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The refit beside the judged model, on young rows.

    Attributes:
        mean_judged, mean_refit: probabilities.
        loss_share: the log loss that the refit would lose if the judged model's probabilities were the true ones
            (Kullback-Leibler divergence), as a share of the log loss that the judged model would have then (its entropy).
        moved: rows to which the policy gives another action, by ``before to after``.
        steps: of the judged recipe, what fewer or more rows change by chance; None: there is one origin.
    """

    rows: int
    mean_judged: float
    mean_refit: float
    loss_share: float
    moved: dict[str, int]
    steps: Steps | None = None

    @property
    def mean_gap_share(self) -> float:
        """Of the mean probability."""
        return abs(self.mean_refit - self.mean_judged) / max(self.mean_judged, _SMALLEST)

    @property
    def moved_share(self) -> float:
        return sum(self.moved.values()) / self.rows


def largest_steps(scores: Sequence[np.ndarray], rows: Rows, policy: Policy) -> Steps | None:
    """
    Args:
        scores: probabilities of the rows by the model of each origin, the judged one last.
    """
    found = [compare_scores(before, after, rows, policy) for before, after in pairwise(scores)]
    if not found:
        return None
    return Steps(
        loss_share=max(one.loss_share for one in found),
        mean_gap_share=max(one.mean_gap_share for one in found),
        moved_share=max(one.moved_share for one in found),
    )


def compare_scores(judged: np.ndarray, refit: np.ndarray, rows: Rows, policy: Policy) -> Closeness:
    """
    Args:
        judged, refit: probabilities of the rows, shape (n,).
    """
    p, q = (np.clip(scores.astype(np.float64), _SMALLEST, 1 - _SMALLEST) for scores in (judged, refit))
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p)).mean()
    lost = (p * np.log(p / q) + (1 - p) * (np.log1p(-p) - np.log1p(-q))).mean()
    decider, table = Decider(policy), rows.table
    value = table["value_cents"].to_numpy()
    facts = {name: table[name].to_list() for name in ("order_id", *SEGMENT_COLUMNS)}
    actions = [decider.decide(scores, value, facts).action for scores in (judged, refit)]
    pairs, counts = np.unique(np.stack(actions, axis=1), axis=0, return_counts=True)
    moved = {f"{ACTIONS[a]} to {ACTIONS[b]}": int(n) for (a, b), n in zip(pairs, counts, strict=True) if a != b}
    return Closeness(
        rows=len(p),
        mean_judged=float(judged.mean()),
        mean_refit=float(refit.mean()),
        loss_share=float(lost / entropy),
        moved=moved,
    )
