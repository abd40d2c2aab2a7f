"""Tuning: an Optuna study of training parameters on the rolling origins before the hold-out.

A study is a function of what it is named after: the same snapshot, settings and libraries give the same trials, whether
it ran through or was killed and taken up again. For that, trials run one after the other; each has a sampler of its own,
seeded by the study's seed and the number of trials finished before it; and a trial that a kill interrupted is marked as
failed, which neither sampler nor pruner sees, and made again (``docs/decisions/tuning.md``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import optuna

from returnml.errors import Refusal
from returnml.files import (
    UNDECODABLE,
    locked,
    readable_json,
    replace_file,
    sha256,
)
from returnml.modeling.data.splits import Fold
from returnml.modeling.fit.boosting import (
    parameters,
    train,
)
from returnml.modeling.fit.calibration import sigmoid
from returnml.modeling.fit.variants import Best
from returnml.modeling.judging.metrics import log_losses
from returnml.modeling.training.training_data import TrainingData
from returnml.modeling.training.tuning_study import (
    TrialResult,
    finished_trials,
    next_trial,
    open_study,
    search_space,
)
from returnml.release.plain import NotPlain, read_plain
from returnml.settings import TrainingSettings, TuningSettings

BEST_FILE = "best.json"


class TuningError(Refusal):
    """Tuned parameters that cannot be read; the message names the file."""


@dataclass(frozen=True)
class Tuned:
    """A study as it stands.

    Attributes:
        results: of finished trials, in order.
    """

    best: Best
    results: list[TrialResult]


def study_hash(data: TrainingData, training: TrainingSettings, tuning: TuningSettings) -> str:
    """The name of a study: sha256 (hex) of all that decides its trials; how many there shall be, and threads, do not."""
    document = {
        "snapshot": data.snapshot.hash,
        "rows": [int(data.split.train[0]), int(data.split.train[-1])],
        "seed": tuning.seed,
        "declared": {n: v for n, v in msgspec.structs.asdict(training).items() if n not in ("threads", "vectors", "parameters")},
        "space": msgspec.to_builtins(search_space(tuning)),
        "libraries": {name: version(name) for name in ("lightgbm", "numpy", "optuna")},
    }
    return sha256(msgspec.json.encode(document, order="sorted"))


def tune(
    data: TrainingData,
    training: TrainingSettings,
    tuning: TuningSettings,
    folder: Path,
    progress: Callable[[TrialResult, int], None] = lambda result, trials: None,
    now: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Run a study's missing trials, and write its best one as the task's.

    Args:
        training: the declared parameters, which are the first trial.
        folder: of the task's studies.
        progress: called with each trial that was finished, and how many there shall be.
        now: seconds, for ``tuning.minutes``; the first trial is made in any case.
    """
    name = study_hash(data, training, tuning)
    started = now()
    with locked(folder / name[:32] / ".lock"):
        study = open_study(folder / name[:32], name)
        while (done := len(finished_trials(study))) < tuning.trials:
            if done and tuning.minutes is not None and now() - started > 60 * tuning.minutes:
                break
            run_trial(study, done, data, data.split.folds, training, tuning)
            progress(finished_trials(study)[-1], tuning.trials)
        results = finished_trials(study)
        won = min((r for r in results if not r.is_pruned), key=lambda r: r.value)
        best = Best(
            study=name,
            trial=won.number,
            value=won.value,
            parameters=won.parameters,
            snapshot=data.snapshot.hash,
            trials=len(results),
        )
        replace_file(folder / BEST_FILE, readable_json(best, order="sorted"))
    return Tuned(best, results)


def run_trial(
    study: optuna.Study,
    number: int,
    data: TrainingData,
    folds: Sequence[Fold],
    training: TrainingSettings,
    tuning: TuningSettings,
) -> None:
    """Train on each fold in turn; give up where the mean so far is worse than most trials' was.

    Args:
        number: how many trials are finished.
    """
    trial, given = next_trial(study, number, training, tuning)
    settings = msgspec.structs.replace(training, **given)
    losses: list[float] = []
    for step, fold in enumerate(folds):
        model = train(data.x[fold.train], data.y[fold.train], data.names, parameters(settings), settings.rounds)
        losses.append(float(log_losses(data.y[fold.test], sigmoid(model.margin(data.x[fold.test]))).mean()))
        trial.report(float(np.mean(losses)), step)
        if step + 1 < len(folds) and trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return
    study.tell(trial, float(np.mean(losses)))


def read_best(folder: Path) -> Best | None:
    """The tuned parameters of a task; None: it was not tuned yet.

    Raises:
        TuningError: if they cannot be read.
    """
    file = folder / BEST_FILE
    try:
        return msgspec.json.decode(read_plain(folder, BEST_FILE), type=Best)
    except FileNotFoundError:
        return None
    except (*UNDECODABLE, NotPlain) as error:
        raise TuningError(f"{file}: {error}") from error
