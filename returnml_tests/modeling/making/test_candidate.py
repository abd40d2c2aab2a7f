"""A release repeats itself, is complete, and is better than no model where there is something to learn."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from returnml.modeling.data.drift_reference import (
    REFERENCE_FILE,
    Reference,
)
from returnml.modeling.data.snapshot import (
    Snapshot,
    SnapshotError,
)
from returnml.modeling.data.splits import SplitError
from returnml.modeling.judging.evaluation import (
    EVALUATION_FILE,
    Evaluation,
)
from returnml.modeling.making.candidate import (
    Candidate,
    train_release,
)
from returnml.release.folder import load_release
from returnml.settings import TaskSettings
from returnml.warehouse.training.training_rows import build_snapshot
from returnml_tests.modeling.shop import FEATURE_SET, FEATURES, SETTINGS, START, TASK, order_lines, warehouse


def snapshot_in(root: Path) -> Snapshot:
    return build_snapshot(warehouse(order_lines()), TASK, START + timedelta(days=200), root / "training", SETTINGS.label)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("candidate")


@pytest.fixture(scope="module")
def snapshot(root: Path) -> Snapshot:
    return snapshot_in(root)


@pytest.fixture(scope="module")
def candidate(snapshot: Snapshot, root: Path) -> Candidate:
    return train_release(snapshot, TASK, SETTINGS, root / "releases")


def test_the_same_data_and_seed_give_the_same_release(candidate: Candidate, tmp_path: Path):
    again = train_release(snapshot_in(tmp_path), TASK, SETTINGS, tmp_path / "releases")
    assert again.release.version == candidate.release.version
    assert again.release.manifest == candidate.release.manifest


def test_threads_do_not_change_the_release_and_the_seed_does(snapshot: Snapshot, candidate: Candidate, tmp_path: Path):
    def version(**changes: int) -> str:
        training = msgspec.structs.replace(SETTINGS.training, **changes)
        return train_release(snapshot, TASK, msgspec.structs.replace(SETTINGS, training=training), tmp_path).release.version

    assert version(threads=2) == candidate.release.version
    assert version(seed=2) != candidate.release.version


def test_the_folder_is_complete_and_verified(candidate: Candidate):
    release = load_release(candidate.release.path)
    assert set(release.manifest.files) == {
        "model.onnx", "trees.txt", "explainer.bin", "calibration.json", "evaluation.json", "reference.json", "report.html",
        "gates.json", "policy.json", "model_card.md", "model_card.html",
        "plots/calibration.png", "plots/curves.png", "plots/lift.png", "plots/importance.png",
    }  # fmt: skip
    assert release.manifest.inputs == list(FEATURES)
    assert msgspec.json.decode(release.read(EVALUATION_FILE), type=Evaluation) == candidate.evaluation
    reference = msgspec.json.decode(release.read(REFERENCE_FILE), type=Reference)
    assert list(reference.features) == sorted(FEATURES)
    assert sum(reference.score.shares) == pytest.approx(1)
    assert b'src="data:image/png;base64,' in release.read("report.html")
    assert all(png.startswith(b"\x89PNG") for png in candidate.plots.values())


def test_it_learns_what_there_is_to_learn(candidate: Candidate):
    figures, baselines = candidate.evaluation.figures, candidate.evaluation.baselines
    assert figures["auc"] > baselines["rate"]["auc"] > baselines["constant"]["auc"] == 0.5
    assert figures["log_loss"] < baselines["rate"]["log_loss"] < baselines["constant"]["log_loss"]
    assert figures["calibration_error"] < 0.05
    low, high = candidate.evaluation.intervals["auc"]
    assert low < figures["auc"] < high
    importance = dict(zip(FEATURES, candidate.model.importance(), strict=True))
    assert max(importance, key=importance.get) == "alpha"
    assert np.isclose(sum(importance.values()), 1)


def test_parity_was_proven_over_every_evaluated_row(candidate: Candidate):
    parity = candidate.evaluation.parity
    assert parity.rows > candidate.evaluation.rows
    assert parity.rows_over_tolerance == 0


def test_a_snapshot_of_another_feature_set_is_refused(snapshot: Snapshot, tmp_path: Path):
    other = type(FEATURE_SET)("toy", 2, FEATURE_SET.request, (), (), ())
    with pytest.raises(SnapshotError, match="made with feature set"):
        train_release(snapshot, replace(TASK, feature_set=other), SETTINGS, tmp_path)


def test_a_snapshot_of_another_task_is_refused(snapshot: Snapshot, tmp_path: Path):
    with pytest.raises(SnapshotError, match="made for task return_risk, not other"):
        train_release(snapshot, replace(TASK, name="other"), SETTINGS, tmp_path)


@pytest.mark.parametrize(
    ("message", "first", "end"),
    [
        (r"the holdout part has \d+ lines, all with label 0", 50, 60),
        ("before none of the folds do the lines have both labels", 0, 30),
        (r"the train part has \d+ lines, all with label 0", 0, 45),
    ],
)
def test_a_part_with_one_label_is_too_little_history(tmp_path: Path, message: str, first: int, end: int):
    days = (pl.col("ordered_at") - START).dt.total_days()
    lines = order_lines().with_columns(
        returned=pl.when(days.is_between(first, end, closed="left")).then(0).otherwise(pl.col("returned"))
    )
    snapshot = build_snapshot(warehouse(lines), TASK, START + timedelta(days=200), tmp_path / "training", SETTINGS.label)
    with pytest.raises(SplitError, match=message):
        train_release(snapshot, TASK, SETTINGS, tmp_path / "releases")


def test_a_task_is_trained_with_its_own_settings(snapshot: Snapshot, tmp_path: Path):
    own = msgspec.structs.replace(SETTINGS, tasks={TASK.name: TaskSettings(training={"rounds": 5}, gates={"min_auc": 0.9})})
    manifest = train_release(snapshot, TASK, own, tmp_path).release.manifest
    assert manifest.parameters["rounds"] == 5
    assert "better_than_chance" in manifest.rejected
