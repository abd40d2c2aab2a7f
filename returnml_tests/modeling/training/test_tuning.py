"""A tuning that was killed goes on to the trials of an undisturbed one, and never looks beyond its folds."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from returnml.modeling.fit.variants import (
    PLAIN,
    Best,
    recipe_of,
)
from returnml.modeling.training import tuning as module
from returnml.modeling.training.training_data import (
    TrainingData,
    training_data,
)
from returnml.modeling.training.tuning import (
    Tuned,
    TuningError,
    read_best,
    study_hash,
    tune,
)
from returnml.settings import TuningSettings
from returnml_tests.drills.kill_tuning import Killed, kill_after
from returnml_tests.modeling.gated import Shop
from returnml_tests.modeling.shop import FEATURE_SET, SETTINGS, TASK

TUNING = TuningSettings(trials=11, max_rounds=30)
TRAINING = SETTINGS.training


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuning")


@pytest.fixture(scope="module")
def data(root: Path) -> TrainingData:
    return training_data(Shop(root).snapshot(), TASK, TRAINING)


@pytest.fixture(scope="module")
def undisturbed(data: TrainingData, root: Path) -> Tuned:
    return tune(data, TRAINING, TUNING, root / "undisturbed")


def test_the_first_trial_is_what_the_settings_declare_and_the_best_is_kept(undisturbed: Tuned, root: Path):
    first = undisturbed.results[0]
    assert first.parameters == {name: getattr(TRAINING, name) for name in first.parameters}
    assert [r.number for r in undisturbed.results] == list(range(TUNING.trials))
    complete = [r for r in undisturbed.results if not r.is_pruned]
    assert len(complete) < TUNING.trials, "some are given up early"
    best = read_best(root / "undisturbed")
    assert best == undisturbed.best
    assert best.value == min(r.value for r in complete) < first.value
    recipe = PLAIN.recipe(TRAINING, FEATURE_SET.outputs, best)
    assert (recipe.study, recipe.trial) == (best.study, best.trial)
    assert recipe.rounds == best.parameters["rounds"]
    assert recipe.lightgbm["learning_rate"] == best.parameters["learning_rate"]


@pytest.mark.parametrize("fits", [2, 9])
def test_an_interrupted_tuning_goes_on_to_the_same_trials(fits, data, undisturbed, tmp_path, monkeypatch):
    """Twice in a row, at the same distance, and with another bound on the trials in between."""
    for trials in (TUNING.trials - 3, TUNING.trials):
        with monkeypatch.context() as patch:
            patch.setattr(module, "train", kill_after(fits, module.train))
            with pytest.raises(Killed):
                tune(data, TRAINING, msgspec.structs.replace(TUNING, trials=trials), tmp_path)
    assert tune(data, TRAINING, TUNING, tmp_path) == undisturbed


def test_kill_9_in_the_middle_of_a_trial(root: Path, data: TrainingData, undisturbed: Tuned, tmp_path: Path):
    program = (
        "import sys; from pathlib import Path; from returnml_tests.modeling.training import test_tuning as t; "
        "from returnml.modeling.data.snapshot import read_snapshot; from returnml_tests.drills.kill_tuning import stall_after; "
        "t.module.train = stall_after(5, t.module.train); "
        "d = t.training_data(read_snapshot(Path(sys.argv[1])), t.TASK, t.TRAINING); "
        "t.tune(d, t.TRAINING, t.TUNING, Path(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(data.snapshot.path), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "stalled\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    seen = []
    assert tune(data, TRAINING, TUNING, tmp_path, lambda result, trials: seen.append(result.number)) == undisturbed
    assert seen[0] == 2, "two trials of two folds were finished when the third was killed"


def test_a_finished_study_is_not_run_again(data: TrainingData, undisturbed: Tuned, root: Path, monkeypatch):
    monkeypatch.setattr(module, "train", kill_after(0, module.train))
    assert tune(data, TRAINING, TUNING, root / "undisturbed") == undisturbed


def test_time_bounds_the_trials_and_more_time_goes_on(data: TrainingData, undisturbed: Tuned, tmp_path: Path):
    ticks = iter(range(0, 1_000, 40))
    bounded = msgspec.structs.replace(TUNING, minutes=1.0)
    part = tune(data, TRAINING, bounded, tmp_path, now=lambda: float(next(ticks)))
    assert part.results == undisturbed.results[:2]
    assert tune(data, TRAINING, TUNING, tmp_path) == undisturbed


def test_nothing_after_the_folds_is_seen(data: TrainingData, undisturbed: Tuned, tmp_path: Path):
    later = np.concatenate([data.split.last.gap, data.split.holdout])
    x = data.x.copy()
    x[later] = 0
    table = data.table.with_columns(label=data.table["label"].scatter(later, 1 - data.y[later]))
    assert tune(dataclasses.replace(data, x=x, table=table), TRAINING, TUNING, tmp_path) == undisturbed


def test_what_decides_the_trials_names_the_study(data: TrainingData):
    name = study_hash(data, TRAINING, TUNING)
    assert study_hash(data, msgspec.structs.replace(TRAINING, threads=7), msgspec.structs.replace(TUNING, trials=99)) == name
    for other in ({"seed": 2}, {"max_rounds": 31}):
        assert study_hash(data, TRAINING, msgspec.structs.replace(TUNING, **other)) != name
    for other in ({"num_leaves": 8}, {"folds": 3}, {"calibration_days": 9}, {"holdout_days": 4}):
        assert study_hash(data, msgspec.structs.replace(TRAINING, **other), TUNING) != name


def test_damaged_parameters_are_refused_and_absent_ones_are_said(tmp_path: Path):
    assert read_best(tmp_path) is None
    asked = msgspec.structs.replace(TRAINING, parameters="tuned")
    recipe = PLAIN.recipe(asked, FEATURE_SET.outputs, None)
    assert recipe.lacks_study
    assert recipe.origin.startswith("declared, as the task was not tuned yet")
    assert recipe_of(recipe.described()) == recipe
    assert PLAIN.recipe(TRAINING, FEATURE_SET.outputs, None).origin == "declared"
    (tmp_path / "best.json").write_text("{}")
    with pytest.raises(TuningError, match=r"best\.json"):
        read_best(tmp_path)
    (tmp_path / "best.json").write_bytes(
        msgspec.json.encode(Best(study="s", trial=1, value=0.5, parameters={"rounds": 30}, snapshot="h", trials=2))
    )
    assert read_best(tmp_path).applied(TRAINING).rounds == 30
