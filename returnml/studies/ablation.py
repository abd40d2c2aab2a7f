"""What each group of features adds: the study's model with a group left out, and with it alone beside the order itself.

Everything is fitted and measured on the rolling origins of ``online_retail_study``; no line from August on is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from returnml.features.catalogue import Feature, catalogue
from returnml.features.feature_set import FeatureSet
from returnml.features.windows import DAY_US, Window
from returnml.modeling.data.splits import Fold
from returnml.modeling.fit.boosting import (
    parameters,
    train,
)
from returnml.modeling.fit.calibration import sigmoid
from returnml.modeling.judging.gates.suspicious_features import varies
from returnml.modeling.judging.metrics import (
    ScoredSample,
    customer_weights,
    differences,
    intervals,
)
from returnml.studies.online_retail_study import (
    SEEDS,
    SETTINGS,
    TRAIN_END_US,
    study_folds,
)

FIGURES = ("auc", "average_precision", "log_loss")
ORDER = "the order itself"
EVERYTHING = "all features"
_SHORT, _RATES, _RETURNS = "windows of minutes and hours", "rates of matured lines", "all that counts returns"


@dataclass(frozen=True)
class Ablated:
    """One choice of features on the folds.

    Attributes:
        inputs: how many of its features vary in training.
        figures: means over the folds.
        differences: from all features: (value, low, high), 95% by paired customer bootstrap over all folds.
    """

    name: str
    inputs: int
    figures: dict[str, float]
    differences: dict[str, tuple[float, float, float]]


def feature_groups(feature_set: FeatureSet) -> dict[str, list[str]]:
    """The features of each group: ``ORDER`` and one group per key divide the set; the last three cut across it."""
    groups: dict[str, list[str]] = {ORDER: []}
    across: dict[str, list[str]] = {_SHORT: [], _RATES: [], _RETURNS: []}
    for feature in catalogue(feature_set):
        groups.setdefault(_key(feature), []).append(feature.name)
        sources = feature.source.split("+")
        if feature.window is not None and Window.parse(feature.window).hop_us < DAY_US:
            across[_SHORT].append(feature.name)
        if "outcomes" in sources:
            across[_RATES].append(feature.name)
        if "outcomes" in sources or "returns" in sources:
            across[_RETURNS].append(feature.name)
    return groups | across


def choices(names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The features of every model to fit, by what is said of it: all, without each group, the order's own with each group.

    Args:
        names: the features that there are; a group with none of them is left out, and so is a choice made before.
    """
    order = set(groups[ORDER])
    found = {EVERYTHING: list(names)}
    for group, members in groups.items():
        found[f"without {group}"] = [name for name in names if name not in members]
    found[f"{ORDER} alone"] = [name for name in names if name in order]
    for group, members in groups.items():
        found[f"{ORDER} + {group}"] = [name for name in names if name in order or name in members]
    chosen: dict[str, list[str]] = {}
    for said, features in found.items():
        if features and features not in chosen.values():
            chosen[said] = features
    return chosen


def ablate(
    lines: pl.DataFrame,
    x: np.ndarray,
    feature_set: FeatureSet,
    *,
    replicates: int,
    seeds: Sequence[int] = SEEDS,
    progress: Callable[[str], None] = lambda step: None,
) -> list[Ablated]:
    """Fit every choice of features on every fold.

    Args:
        lines: ``ordered_at``, ``customer_id`` and ``returned`` of every line, see ``online_retail_study.match_reference``.
        x: float32, shape (lines, features).
        seeds: one booster each; their log-odds are averaged.
        progress: called with what is about to be fitted.
    """
    ordered, y = lines["ordered_at"].to_physical().to_numpy(), lines["returned"].to_numpy()
    known = ordered < TRAIN_END_US
    x, y, ordered, customer = x[known], y[known], ordered[known], lines["customer_id"].to_numpy()[known]
    names = [name for j, name in enumerate(feature_set.outputs) if varies(x[:, j])]
    folds = study_folds(ordered)
    scored: dict[str, list[ScoredSample]] = {}
    models = choices(names, feature_groups(feature_set))
    for number, (said, features) in enumerate(models.items(), start=1):
        progress(f"{number} of {len(models)}: {said}")
        columns = [feature_set.outputs.index(name) for name in features]
        scored[said] = [_sample(x[:, columns], y, fold, features, seeds) for fold in folds]
    weights = customer_weights(np.concatenate([customer[fold.test] for fold in folds]), replicates, seed=1)
    ends = np.cumsum([len(fold.test) for fold in folds])[:-1]
    drawn: dict[str, list[dict[str, float]]] = {said: [] for said in scored}
    for weight in weights:
        parts = np.split(weight, ends)
        for said, samples in scored.items():
            drawn[said].append(_means(samples, parts))
    means = {said: _means(samples, [None] * len(folds)) for said, samples in scored.items()}
    found = []
    for said in scored:
        apart = differences(means[said], means[EVERYTHING])
        spread = intervals([differences(*pair) for pair in zip(drawn[said], drawn[EVERYTHING], strict=True)])
        found.append(Ablated(said, len(models[said]), means[said], {name: (apart[name], *spread[name]) for name in FIGURES}))
    return found


def _key(feature: Feature) -> str:
    """What a feature is kept by: features of the scored order have no key but that."""
    if not feature.key or "order_id" in feature.key:
        return ORDER
    return " x ".join(key.removesuffix("_id").replace("_", " ") for key in feature.key)


def _sample(x: np.ndarray, y: np.ndarray, fold: Fold, names: Sequence[str], seeds: Sequence[int]) -> ScoredSample:
    model = train(x[fold.train], y[fold.train], names, parameters(SETTINGS), SETTINGS.rounds, seeds)
    return ScoredSample(y[fold.test], sigmoid(model.margin(x[fold.test])))


def _means(samples: Sequence[ScoredSample], weights: Sequence[np.ndarray | None]) -> dict[str, float]:
    found = [sample.figures(weight) for sample, weight in zip(samples, weights, strict=True)]
    return {figure: float(np.mean([f[figure] for f in found])) for figure in FIGURES}
