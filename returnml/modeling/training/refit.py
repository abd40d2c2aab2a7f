"""The model that is deployed: the judged recipe refitted on all mature rows, and how close to the judged model it stays.

The judged model never saw the hold-out, nor the gap before it; what is deployed did. So its quality cannot be measured. What
can be is whether it says the same: on rows that are younger than every mature one, which neither has seen, and for which no
label is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from returnml.modeling.fit.boosting import TreeModel
from returnml.modeling.fit.calibration import Calibration
from returnml.modeling.judging.closeness import Closeness, compare_scores, largest_steps
from returnml.modeling.training.fitting import fit_rows
from returnml.modeling.training.trained import Trained
from returnml.modeling.training.training_data import TrainingData
from returnml.policy.document import Policy
from returnml.settings import TrainingSettings

LEAST_YOUNG_ROWS = 200
"""Below, nothing is proven by them, and the judged model itself is released."""


@dataclass(frozen=True)
class Deployed:
    """What a release decides with.

    Attributes:
        rows: how many it was trained on.
        until_us: anchor of the youngest of them.
        closeness: of the refit; None: it is the judged model itself.
    """

    model: TreeModel
    calibration: Calibration
    rows: int
    until_us: int
    closeness: Closeness | None


def deploy(trained: Trained, data: TrainingData, training: TrainingSettings, policy: Policy) -> Deployed:
    """Refit on all mature rows with as many trees, calibrated by the out-of-time scores of all origins, hold-out included.

    Where there are too few young rows to prove the refit by, the judged model is deployed.

    Raises:
        VariantError: see ``Trained.model_for``.
    """
    judged, young = trained.model_for(data), data.young
    if len(young.x) < LEAST_YOUNG_ROWS:
        seen = data.split.train
        return Deployed(judged, trained.calibration, len(seen), int(data.anchor_us[seen].max()), None)
    model = fit_rows(data, np.arange(len(data.y)), trained.recipe, training.threads)
    calibration = trained.choice.fitted(np.concatenate(trained.margins), data.y[data.split.tested])
    said = trained.said_of_young
    closeness = compare_scores(said[-1], calibration.probability(model.margin(young.x)), young, policy)
    closeness = msgspec.structs.replace(closeness, steps=largest_steps(said, young, policy))
    return Deployed(model, calibration, len(data.y), int(data.anchor_us.max()), closeness)
