"""Candidate and champion as recipes: both fitted at the same origins and judged on the same rows.

The champion's deployed model was refitted on nearly all that is mature and cannot be judged there. Its recipe can.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from returnml.modeling.data.splits import Fold
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.fit.variants import (
    Recipe,
    recipe_of,
)
from returnml.modeling.judging.evidence_gathering import part_of
from returnml.modeling.judging.gates.evidence import (
    Pair,
    Rival,
)
from returnml.modeling.training.fitting import fit_at
from returnml.modeling.training.trained import (
    Trained,
    train_variant,
)
from returnml.modeling.training.training_data import TrainingData
from returnml.release.folder import Release
from returnml.settings import TrainingSettings

_NAMES_ONLY = {"variant": "", "study": None, "trial": None, "lacks_study": False}
"""Fields of a recipe that say where it is from and change no tree."""


@dataclass(frozen=True)
class Comparable:
    """The champion beside a candidate.

    Attributes:
        rival: None: it cannot be compared.
        why_not: empty where it can be, or there is none.
    """

    rival: Rival | None
    why_not: str = ""


def compare_recipes(trained: Trained, data: TrainingData, champion: Release | None, training: TrainingSettings) -> Comparable:
    """Fit the champion's recipe where the candidate's was fitted, and the candidate's where the champion was.

    Args:
        champion: what decides; None: nothing does.
    """
    if champion is None:
        return Comparable(None)
    manifest, expected = champion.manifest, data.snapshot.manifest.feature_set_hash
    if manifest.feature_set_hash != expected:
        return Comparable(
            None,
            f"the champion {champion.version} is of feature set {manifest.feature_set_hash[:12]}, which this code no longer "
            "computes: it cannot score these lines",
        )
    recipe = recipe_of(manifest.parameters)
    is_same = _bare(recipe) == _bare(trained.recipe)
    theirs = trained if is_same else train_variant(data, recipe, training)
    ours_said, theirs_said = (np.concatenate(one.said(data)) for one in (trained, theirs))
    pair = Pair(part_of(data.table, data.x, data.split.tested), ours_said, theirs_said)
    itself = _itself(trained, data, champion, training)
    return Comparable(Rival(champion.version, len(data.split.origins), is_same, pair, itself))


def _itself(trained: Trained, data: TrainingData, champion: Release, training: TrainingSettings) -> Pair | None:
    """The champion's own scores of rows that matured after it was made, beside those of the candidate's recipe fitted on what the
    champion could know; None: it does not say what it was trained on, or there are no such rows.
    """
    trained_on = champion.manifest.trained_on
    if isinstance(trained_on, msgspec.UnsetType):
        return None
    is_new = data.anchor_us > trained_on.until_us
    rows, known = np.flatnonzero(is_new), np.flatnonzero(~is_new)
    if not len(rows) or len(np.unique(data.y[known])) != 2:
        return None
    fold = Fold(trained_on.until_us + 1, known, known[:0], rows)
    ours = trained.calibration.probability(fit_at(data, fold, trained.recipe, training).margin(data.x[rows]))
    return Pair(part_of(data.table, data.x, rows), ours, OnnxScorer(champion.model).probability(data.x[rows]))


def _bare(recipe: Recipe) -> Recipe:
    return msgspec.structs.replace(recipe, **_NAMES_ONLY)
