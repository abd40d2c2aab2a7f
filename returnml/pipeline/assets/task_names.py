"""What the assets of a task are called."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from returnml.modeling.fit.variants import VARIANTS
from returnml.release.deployment import DeploymentError
from returnml.release.proof import proven_state
from returnml.settings import Settings
from returnml.tasks.declaration import Task


@dataclass(frozen=True)
class TaskKeys:
    """Asset keys of a task, in the order of its line; ``reasons`` is None where none are given.

    Attributes:
        variants: by the variant's name.
    """

    training_set: dg.AssetKey
    best_parameters: dg.AssetKey
    variants: dict[str, dg.AssetKey]
    leaderboard: dg.AssetKey
    candidate_model: dg.AssetKey
    evaluation: dg.AssetKey
    release: dg.AssetKey
    scores: dg.AssetKey
    reasons: dg.AssetKey | None


def keys_of(task: Task) -> TaskKeys:
    """Tables keep their name (``scores.daily``: ``scores_daily``); the rest stands below the task's prefix."""

    def own(part: str) -> dg.AssetKey:
        return dg.AssetKey([*task.asset_prefix, part])

    return TaskKeys(
        training_set=own("training_set"),
        best_parameters=own("best_parameters"),
        variants={variant.name: own(f"variant_{variant.name}") for variant in VARIANTS},
        leaderboard=own("leaderboard"),
        candidate_model=own("candidate_model"),
        evaluation=own("evaluation"),
        release=own("release"),
        scores=table_key(task.score_table),
        reasons=None if task.reason_table is None else table_key(task.reason_table),
    )


def scores_of(task: Task) -> list[dg.AssetKey]:
    """The keys of its tables for readers."""
    keys = keys_of(task)
    return [keys.scores] if keys.reasons is None else [keys.scores, keys.reasons]


def table_key(table: str) -> dg.AssetKey:
    """
    >>> table_key("scores.daily").to_user_string()
    'scores_daily'
    """
    return dg.AssetKey(table.replace(".", "_"))


def deciding(settings: Settings, task: Task) -> str | None:
    """The release that decides about a task's rows; None: none does yet.

    Raises:
        dagster.Failure: where state, trail and manifests do not prove each other; a retry would not help.
    """
    try:
        return proven_state(settings, task.name).champion
    except DeploymentError as error:
        raise dg.Failure(f"{task.name}: {error}", allow_retries=False) from error


def champion(settings: Settings, task: Task) -> str:
    """The release that decides about a task's rows.

    Raises:
        dagster.Failure: where none does yet; a retry would not help.
    """
    version = deciding(settings, task)
    if version is None:
        raise dg.Failure(f"{task.name}: nothing is deployed: run training_job once, then scores follow", allow_retries=False)
    return version
