"""What the gates look at: the hold-out as the model, the trees and the champion see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from returnml.modeling.judging.closeness import Closeness
from returnml.modeling.judging.evaluation import Evaluation
from returnml.policy.document import Policy
from returnml.tasks.declaration import Words


@dataclass(frozen=True)
class HoldOut:
    """Mature rows that the models they judge did not see; every array has shape (n,) or (n, inputs).

    Attributes:
        x: float32 features.
        y: 0 or 1.
        facts: the policy's columns, the segments', and the protected attributes', each of length n.
    """

    x: np.ndarray
    y: np.ndarray
    customer: np.ndarray
    anchor_us: np.ndarray
    value_cents: np.ndarray
    facts: Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Pair:
    """Two models' probabilities of the same rows, which neither has seen: the candidate's and the champion's, shape (n,)."""

    part: HoldOut
    ours: np.ndarray
    theirs: np.ndarray


@dataclass(frozen=True)
class Rival:
    """The champion beside the candidate.

    Attributes:
        origins: at how many both recipes were fitted.
        is_same_recipe: both come to the same models.
        recipes: what both recipes said out of time at all origins, the hold-out's among them.
        itself: the champion's deployed model on rows that matured after it was made, beside the candidate's recipe fitted on what
            the champion was; None: there are none.
    """

    version: str
    origins: int
    is_same_recipe: bool
    recipes: Pair
    itself: Pair | None


@dataclass(frozen=True)
class Evidence:
    """All that decides a verdict.

    Attributes:
        importance: share of gain of each input.
        varied: whether each input has more than one value in training.
        probability: of the hold-out's rows by the judged model.
        from_graph, from_trees: those of the model that is released, by the exported graph and by its trees. It may have seen
            the hold-out.
        closeness: of the released model to the judged one; None: they are the same.
        pooled: labels of the rows of all origins, and what was said then, shape (n,).
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
    probability: np.ndarray
    from_graph: np.ndarray
    from_trees: np.ndarray
    closeness: Closeness | None
    pooled: tuple[np.ndarray, np.ndarray]
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
