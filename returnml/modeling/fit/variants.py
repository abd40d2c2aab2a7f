"""The declared variants of a candidate, and what each comes to: a recipe to train by.

A variant is said relative to the settings (or to the tuned parameters), so that it stays what it is called whatever these
are. Belongs here: declarations. Must not be here: training, and which variant is released.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from returnml.errors import Refusal
from returnml.modeling.fit.boosting import parameters
from returnml.settings import TrainingSettings

_DECIDES_NOTHING = ("num_threads", "verbose")
"""Parameters that change no tree, because training is deterministic. A model is the same with any of them."""

OF_THE_SPLIT = ("calibration_days", "folds", "purged_days", "holdout_days", "young_lines")
"""Parameters of a manifest that say which lines were used for what."""


class Best(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The best trial of a study (``modeling/training/tuning.py``).

    Attributes:
        study: its hash.
        trial: how many trials were finished before it.
        value: mean log loss over the folds.
        parameters: fields of the training settings.
        snapshot: hash of the training snapshot that it was tuned on.
        trials: finished when it was chosen.
    """

    study: str
    trial: int
    value: float
    parameters: dict[str, int | float]
    snapshot: str
    trials: int

    def applied(self, training: TrainingSettings) -> TrainingSettings:
        """The training settings with these parameters."""
        return msgspec.structs.replace(training, **self.parameters)


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that decides a model beside its lines.

    Attributes:
        lightgbm: parameters; none for a baseline that is no trees.
        rounds: trees.
        excluded: inputs that the trees may not ask. The model's vector has them all the same.
        weight_half_life_days: a row so much older than another counts half as much; None: all count alike.
        study: the tuning that the parameters are of, and its trial; None: they are those of the settings.
        lacks_study: the settings ask for tuned parameters, and the task was not tuned yet.
    """

    variant: str
    lightgbm: dict[str, Any]
    rounds: int
    excluded: list[str] = []
    weight_half_life_days: float | None = None
    study: str | None = None
    trial: int | None = None
    lacks_study: bool = False

    @property
    def origin(self) -> str:
        """Where the parameters are from, in words."""
        if self.study is not None:
            return f"tuned (study {self.study[:12]}, trial {self.trial})"
        return (
            "declared, as the task was not tuned yet (training.parameters asks for tuned ones)"
            if self.lacks_study
            else "declared"
        )

    def described(self) -> dict[str, Any]:
        """As the manifest's parameters say it."""
        return {**self.lightgbm, **{name: value for name, value in msgspec.structs.asdict(self).items() if name != "lightgbm"}}


def recipe_of(described: Mapping[str, Any]) -> Recipe:
    """The recipe that the parameters of a manifest describe."""
    own = {name: described[name] for name in Recipe.__struct_fields__ if name in described}
    lightgbm = {name: value for name, value in described.items() if name not in own and name not in OF_THE_SPLIT}
    return msgspec.convert({**own, "lightgbm": lightgbm}, Recipe)


@dataclass(frozen=True)
class Monotone:
    """Inputs along which the score may only rise.

    Attributes:
        pattern: of whole names.
        why: what the shop knows that the data say only noisily.
    """

    pattern: str
    why: str


@dataclass(frozen=True)
class Variant:
    """One declared candidate.

    Attributes:
        factors: on fields of the training settings.
        lightgbm: parameters beside those of the settings.
        excluded: patterns of whole names of inputs that are not asked.
        by_recency: rows count less the older they are (``training.half_life_days``).
        is_baseline: it is there to be beaten and is never released.
    """

    name: str
    description: str
    factors: Mapping[str, float] = field(default_factory=dict)
    lightgbm: Mapping[str, Any] = field(default_factory=dict)
    monotone: tuple[Monotone, ...] = ()
    excluded: tuple[str, ...] = ()
    by_recency: bool = False
    is_baseline: bool = False

    def recipe(self, training: TrainingSettings, names: Sequence[str], best: Best | None = None) -> Recipe:
        """
        Args:
            names: the model's inputs in order.
            best: tuned parameters, in place of those of the settings; None: not asked for, or not tuned yet.
        """
        if self.is_baseline:
            return Recipe(variant=self.name, lightgbm={}, rounds=0, excluded=matching(names, self.excluded))
        training = best.applied(training) if best else training
        adjusted = msgspec.structs.replace(training, **{name: _scaled(training, name, by) for name, by in self.factors.items()})
        given = {name: value for name, value in parameters(adjusted).items() if name not in _DECIDES_NOTHING}
        rising = set(matching(names, [m.pattern for m in self.monotone]))
        if rising:
            given["monotone_constraints"] = [int(name in rising) for name in names]
        return Recipe(
            variant=self.name,
            lightgbm={**given, **self.lightgbm},
            rounds=adjusted.rounds,
            excluded=matching(names, self.excluded),
            weight_half_life_days=training.half_life_days if self.by_recency else None,
            study=best.study if best else None,
            trial=best.trial if best else None,
            lacks_study=training.parameters == "tuned" and best is None,
        )


PLAIN = Variant("plain", "The parameters of the settings, or the tuned ones, as they are.")

VARIANTS = (
    PLAIN,
    Variant(
        "monotone",
        "The score never falls as what came back before rises.",
        lightgbm={"monotone_constraints_method": "intermediate"},
        monotone=(
            Monotone(r".*_return_rate_.*", "whose matured lines came back more often returns more; a dip is chance"),
            Monotone(r".*_returns_per_order_.*", "the same, with the returns of young lines"),
            Monotone(r"inspected_customer_.*_is_abuse_.*|inspected_.*_abuse_rate_.*", "who was found to abuse does it again"),
            Monotone(r"basket_same_article_(count|size_distinct)", "several of one article are ordered to choose from"),
        ),
    ),
    Variant(
        "regularised",
        "Smaller steps by smaller trees over more lines, which ask fewer inputs and are shrunk more: for a shop whose past "
        "is short or whose lines are noisy.",
        factors={"learning_rate": 2 / 3, "num_leaves": 0.5, "min_data_in_leaf": 5.0, "feature_fraction": 0.6, "lambda_l2": 5.0},
    ),
    Variant(
        "steady",
        "Without the windows of minutes and hours, which are empty for most lines and move fastest.",
        excluded=(r".*_(\d+m|\d+h)",),
    ),
    Variant(
        "recent",
        "A row counts half as much as one that is a half-life younger: for a shop whose customers or assortment change.",
        by_recency=True,
    ),
    Variant(
        "dart",
        "Trees are dropped at random while others are added (DART), half as many of three times the rate. Slow to train.",
        factors={"rounds": 0.5, "learning_rate": 3.0},
        lightgbm={"boosting": "dart", "drop_rate": 0.1, "skip_drop": 0.5},
    ),
    Variant("logistic", "A logistic regression: what the trees must be worth more than.", is_baseline=True),
)


class VariantError(Refusal):
    """A name that no variant has, or a choice without any that could be released."""


def chosen_variants(names: Sequence[str]) -> list[Variant]:
    """The variants of these names, in the order of their declaration.

    Raises:
        VariantError: for an unknown name, or if all are baselines.
    """
    known = {variant.name: variant for variant in VARIANTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise VariantError(f"variants.names: no variant {unknown[0]!r}; declared are {', '.join(known)}")
    found = [variant for variant in VARIANTS if variant.name in names]
    if all(variant.is_baseline for variant in found):
        raise VariantError(f"variants.names: {list(names)} leaves nothing that could be released")
    return found


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """
    >>> matching(["orders_5m", "orders_1d"], [r".*_\\d+m"])
    ['orders_5m']
    """
    return [name for name in names if any(re.fullmatch(pattern, name) for pattern in patterns)]


def _scaled(training: TrainingSettings, name: str, by: float) -> float:
    """Whole numbers stay whole and at least 2."""
    value = getattr(training, name)
    return max(2, round(value * by)) if isinstance(value, int) else value * by
