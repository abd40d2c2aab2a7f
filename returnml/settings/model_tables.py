"""Tables of ``returnml.toml`` that say how models are trained, judged, used and watched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec


class TrainingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the candidate is trained; times are relative to the cut-off.

    Attributes:
        vectors: ``recomputed``: all features are those that batch computes. ``logged``: lines that were scored as they were
            ordered have the vector that the service computed.
        parameters: ``declared``: rounds and LightGBM's are those that stand here. ``tuned``: those of the last
            ``returnml tune``.
        calibration_days, folds: the span before the hold-out whose out-of-time scores calibrate, choose and compare models,
            and into how many rolling origins it is divided; a short history has as much of it as it can.
        half_life_days: of a row's weight in variants that weigh by recency.
    """

    vectors: Literal["recomputed", "logged"] = "recomputed"
    parameters: Literal["declared", "tuned"] = "declared"
    seed: int = 1
    rounds: int = 300
    learning_rate: float = 0.03
    num_leaves: int = 31
    min_data_in_leaf: int = 100
    feature_fraction: float = 0.5
    bagging_fraction: float = 0.8
    lambda_l2: float = 10.0
    threads: int = 2
    calibration_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 90
    folds: Annotated[int, msgspec.Meta(ge=2, le=50)] = 3
    holdout_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 21
    half_life_days: Annotated[float, msgspec.Meta(gt=0.0, le=36500.0)] = 90.0
    young_lines: Literal["exclude", "weighted"] = "exclude"


class VariantSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which declared variants of a candidate are trained, and how many at once (``training_job``).

    Attributes:
        names: of ``modeling/fit/variants.py``; the others are skipped.
        parallel: steps at once, among which the training threads are divided; default: as many as there are cores, and
            times ``memory_gb`` in the memory that is free.
        memory_gb: that a step may need.
    """

    names: tuple[str, ...] = ("plain", "monotone", "regularised", "steady", "recent", "logistic")
    parallel: Annotated[int, msgspec.Meta(ge=1)] | None = None
    memory_gb: Annotated[float, msgspec.Meta(gt=0.0)] = 2.0


class TuningSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The search for training parameters (``returnml tune``), on the folds before the hold-out.

    Attributes:
        trials: finished ones that a study shall have; a later call with more goes on.
        minutes: after which no further trial is begun; default: no bound.
        max_rounds: trees that a trial may take.
    """

    seed: int = 1
    trials: Annotated[int, msgspec.Meta(ge=1)] = 30
    minutes: Annotated[float, msgspec.Meta(gt=0.0)] | None = None
    max_rounds: Annotated[int, msgspec.Meta(ge=20)] = 600


class GateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a candidate must show to become a release; each default's reason is in ``docs/decisions/gates.md``.

    Attributes:
        require_approval: a candidate that passed waits for a person's word.
        min_holdout_returns: returned lines, and kept ones, that the hold-out must have.
        min_auc, max_auc: below, it orders hardly better than chance; above, it knows what it cannot know.
        max_single_feature_share, max_single_feature_auc: what one feature alone may reach: of the model's AUC above 0.5, or in
            all; beyond both it is thought to know the outcome.
        max_gain_share: of all gain, one feature's.
        max_dead_gain_share: of all gain, that of features which vary in training and no longer on the hold-out.
        max_calibration_error: on the hold-out, beyond what chance alone shows.
        min_segment_lines: hold-out lines that make a product group or country large.
        max_segment_gap_share: between predicted and actual returns of a large segment, as a share of the actual ones.
        max_refit_loss_share, max_refit_mean_gap_share, max_refit_moved_share: of the refit's scores of young rows from the judged
            model's: log loss lost if that were right, distance of the means, rows with another action.
        max_log_loss_worse_share, max_cost_worse_share: of the champion's, by how much the candidate may be worse at most, at
            the upper end of the interval.
    """

    require_approval: bool = False
    min_holdout_returns: Annotated[int, msgspec.Meta(ge=1)] = 50
    min_auc: Annotated[float, msgspec.Meta(ge=0.5, le=1.0)] = 0.55
    max_auc: Annotated[float, msgspec.Meta(ge=0.5, le=1.0)] = 0.95
    max_single_feature_share: Annotated[float, msgspec.Meta(ge=0.0)] = 0.97
    max_single_feature_auc: Annotated[float, msgspec.Meta(ge=0.5, le=1.0)] = 0.85
    max_gain_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.6
    max_dead_gain_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.01
    max_calibration_error: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.05
    min_segment_lines: Annotated[int, msgspec.Meta(ge=1)] = 1_000
    max_segment_gap_share: Annotated[float, msgspec.Meta(ge=0.0)] = 0.25
    max_refit_loss_share: Annotated[float, msgspec.Meta(ge=0.0)] = 0.02
    max_refit_mean_gap_share: Annotated[float, msgspec.Meta(ge=0.0)] = 0.25
    max_refit_moved_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.15
    max_log_loss_worse_share: Annotated[float, msgspec.Meta(ge=0.0)] = 0.01
    max_cost_worse_share: Annotated[float, msgspec.Meta(ge=0.0)] = 0.02


class TaskSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What differs for one task.

    Attributes:
        policy: its policy file.
        training, gates: fields of these tables that have another value for it.
    """

    policy: str | None = None
    training: dict[str, Any] = {}
    gates: dict[str, Any] = {}


class ScoresSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Daily scores.

    Attributes:
        explained_per_day: how many lines of a day, those with the highest expected costs, get reasons.
    """

    explained_per_day: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 100


class ForecastSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nowcast of return rates and forecast of returns volume.

    Attributes:
        longest_delay_days: goods that come back later are no part of the forecast.
        product_groups: how many, those with the most lines, are told apart; the rest is one.
    """

    longest_delay_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 60
    product_groups: Annotated[int, msgspec.Meta(ge=0, le=200)] = 12


class DriftSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Effect sizes at which a column counts as drifted, and when that retrains.

    ``share_of_features`` is well above what a growing history moves by itself: counts per brand, product group or
    country have a handful of distinct values a day and shift every week (a fifth of the features on simulated data).
    """

    psi_threshold: float = 0.25
    ks_threshold: float = 0.15
    min_rows: int = 200
    share_of_features: float = 0.3
    retrain_cooldown_hours: int = 24
