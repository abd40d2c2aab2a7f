"""What the gates look at: the hold-out as the model, the trees and the champion see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from returnml.modeling.judging.evaluation import Evaluation
from returnml.policy.document import Policy
from returnml.tasks.declaration import Words


@dataclass(frozen=True)
class HoldOut:
    """Mature rows that no training saw; every array has shape (n,) or (n, inputs).

    Attributes:
        x: float32 features.
        y: 0 or 1.
        facts: the policy's columns and the segments', each of length n.
    """

    x: np.ndarray
    y: np.ndarray
    customer: np.ndarray
    anchor_us: np.ndarray
    value_cents: np.ndarray
    facts: Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Rival:
    """The champion on the candidate's hold-out.

    Attributes:
        probability: by its own graph, shape (n,).
        unseen_from_us: rows anchored before were in its own training or before its hold-out, and are not compared.
    """

    version: str
    probability: np.ndarray
    unseen_from_us: int


@dataclass(frozen=True)
class Evidence:
    """All that decides a verdict.

    Attributes:
        importance: share of gain of each input.
        varied: whether each input has more than one value in training.
        from_graph, from_trees: the hold-out's probabilities by the exported graph and by the trained model.
        baselines: the hold-out's probabilities by each baseline of ``evaluation``.
        data_problems: of the training data, by check; empty: none.
        serving_problems: why the service could not answer from the candidate; empty: it could.
        calibration_problem: why the calibration does not rise; empty: it does.
        rival: None: nothing decides yet.
        incomparable: why a champion that there is could not be scored; empty: it could, or there is none.
    """

    names: Sequence[str]
    importance: np.ndarray
    varied: np.ndarray
    holdout: HoldOut
    from_graph: np.ndarray
    from_trees: np.ndarray
    baselines: Mapping[str, np.ndarray]
    evaluation: Evaluation
    policy: Policy
    data_problems: Mapping[str, str]
    serving_problems: Sequence[str]
    calibration_problem: str
    rival: Rival | None
    incomparable: str
    seed: int
    words: Words
