"""The study itself: its file, its search space, and its trials in the order in which they were finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import optuna

from returnml.files import new_file, sqlite_url
from returnml.settings import TrainingSettings, TuningSettings

STUDY_FILE = "study.db"
STARTUP_TRIALS = 8
"""Drawn at random before the sampler and the pruner use what was found."""
_NUMBER = "number"


class Range(msgspec.Struct, frozen=True):
    """Where a field of the training settings is looked for; widened to hold the declared value."""

    name: str
    low: float
    high: float
    is_log: bool = True
    is_whole: bool = False


def search_space(tuning: TuningSettings) -> tuple[Range, ...]:
    """What is tuned; the order decides the trials."""
    return (
        Range("rounds", 20, tuning.max_rounds, is_whole=True),
        Range("learning_rate", 0.01, 0.2),
        Range("num_leaves", 4, 127, is_whole=True),
        Range("min_data_in_leaf", 10, 1_000, is_whole=True),
        Range("feature_fraction", 0.1, 1.0, is_log=False),
        Range("bagging_fraction", 0.5, 1.0, is_log=False),
        Range("lambda_l2", 0.1, 100.0),
    )


class TrialResult(msgspec.Struct, frozen=True):
    """A finished trial.

    Attributes:
        number: how many were finished before it.
        value: mean log loss over the folds that were tried.
        is_pruned: given up before the last fold; it cannot be the best.
    """

    number: int
    parameters: dict[str, int | float]
    value: float
    is_pruned: bool


def open_study(folder: Path, name: str) -> optuna.Study:
    """Open a study, or make it; what a kill interrupted is marked as failed.

    Only one process may have it open (see ``tune``).
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = folder / STUDY_FILE
    if not file.exists():
        with new_file(file) as aside:  # Optuna fills it in several steps
            storage = optuna.storages.RDBStorage(sqlite_url(aside))
            optuna.create_study(storage=storage, study_name=name, direction="minimize")
            storage.engine.dispose()
    study = optuna.load_study(
        study_name=name,
        storage=sqlite_url(file),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
    )
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def next_trial(
    study: optuna.Study, number: int, training: TrainingSettings, tuning: TuningSettings
) -> tuple[optuna.Trial, dict[str, int | float]]:
    """Ask for the trial after ``number`` finished ones; the first is what the settings declare.

    What it proposes depends on the seed, the number and the finished trials alone.
    """
    space = search_space(tuning)
    own = int(np.random.SeedSequence([tuning.seed, number]).generate_state(1)[0])
    if number == 0:
        study.sampler = _Declared(training)
    else:
        study.sampler = optuna.samplers.TPESampler(seed=own, n_startup_trials=STARTUP_TRIALS, constant_liar=False)
    trial = study.ask()
    trial.set_user_attr(_NUMBER, number)
    return trial, {wanted.name: _suggested(trial, wanted, getattr(training, wanted.name)) for wanted in space}


class _Declared(optuna.samplers.BaseSampler):
    """Proposes what the settings say."""

    def __init__(self, training: TrainingSettings) -> None:
        self._training = training

    def infer_relative_search_space(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, Any]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: optuna.Study, trial: optuna.trial.FrozenTrial, param_name: str, distribution: Any) -> Any:
        return getattr(self._training, param_name)


def _suggested(trial: optuna.Trial, wanted: Range, declared: float) -> int | float:
    low, high = min(wanted.low, declared), max(wanted.high, declared)
    if wanted.is_whole:
        return trial.suggest_int(wanted.name, int(low), int(high), log=wanted.is_log)
    return trial.suggest_float(wanted.name, low, high, log=wanted.is_log)


def finished_trials(study: optuna.Study) -> list[TrialResult]:
    """Those that were completed or pruned, in order."""
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return [
        TrialResult(
            number=trial.user_attrs[_NUMBER],
            parameters=trial.params,
            value=float(trial.values[0]),
            is_pruned=trial.state is optuna.trial.TrialState.PRUNED,
        )
        for trial in study.get_trials(deepcopy=False, states=states)
    ]
