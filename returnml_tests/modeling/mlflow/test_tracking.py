"""A release in MLflow: a nested run with its figures, a registered pyfunc model that predicts the same, aliases that follow."""

import json
import platform
import subprocess
import sys
import warnings
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from returnml.modeling.data.snapshot import Snapshot
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.fit.calibration import UNCALIBRATED
from returnml.modeling.fit.variants import Recipe
from returnml.modeling.judging.out_of_time import Choice
from returnml.modeling.making.candidate import (
    Candidate,
    train_release,
)
from returnml.modeling.mlflow.model_registry import project_aliases
from returnml.modeling.mlflow.revision import source_revision
from returnml.modeling.mlflow.tracking import (
    Logged,
    log_candidate,
    log_variant,
)
from returnml.modeling.mlflow.tracking_store import (
    EXPERIMENT,
    turn,
)
from returnml.modeling.training.trained import Trained
from returnml.release.deployment import DeploymentState
from returnml.warehouse.training.training_rows import build_snapshot
from returnml_tests.modeling.shop import FEATURES, SETTINGS, START, TASK, order_lines, warehouse
from returnml_tests.serving.shop import make_champion_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracking")


@pytest.fixture(scope="module")
def snapshot(root: Path) -> Snapshot:
    return build_snapshot(warehouse(order_lines()), TASK, START + timedelta(days=200), root / "training", SETTINGS.label)


@pytest.fixture(scope="module")
def candidate(snapshot: Snapshot, root: Path) -> Candidate:
    return train_release(snapshot, TASK, SETTINGS, root / "releases")


@pytest.fixture(scope="module")
def client(root: Path) -> mlflow.MlflowClient:
    with turn(root / "mlflow") as uri:
        return mlflow.MlflowClient(uri, uri)


@pytest.fixture(scope="module")
def parent(client: mlflow.MlflowClient) -> str:
    return client.create_run(client.get_experiment_by_name(EXPERIMENT).experiment_id).info.run_id


@pytest.fixture(scope="module")
def logged(candidate: Candidate, snapshot: Snapshot, root: Path, parent: str) -> Logged:
    return log_candidate(candidate, snapshot, root / "mlflow", parent)


def test_the_run_is_nested_and_holds_what_decides_a_release(client, logged: Logged, candidate: Candidate, parent: str):
    run = client.get_run(logged.run_id)
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.info.status == "FINISHED"
    assert run.data.metrics["auc"] == candidate.evaluation.figures["auc"]
    assert run.data.metrics["auc_low"] < run.data.metrics["auc"] < run.data.metrics["auc_high"]
    assert run.data.params["rounds"] == "40"
    assert {f.path for f in client.list_artifacts(logged.run_id, "release")} >= {"release/model.onnx", "release/report.html"}


def test_the_registered_model_predicts_what_the_release_predicts(logged: Logged, candidate: Candidate, snapshot: Snapshot):
    x = snapshot.matrix()[:500]
    model = mlflow.pyfunc.load_model(f"models:/{logged.model_name}/{logged.model_version}")
    frame = pd.DataFrame(x, columns=FEATURES)[list(reversed(FEATURES))]  # by name, not by position
    found = model.predict(frame)["probability"].to_numpy()
    np.testing.assert_array_equal(found, OnnxScorer(candidate.release.model).probability(x))
    assert model.metadata.signature.inputs.input_names() == list(FEATURES)
    assert model.metadata.saved_input_example_info is not None
    with pytest.raises(mlflow.MlflowException, match="gamma"):
        model.predict(frame.drop(columns="gamma"))


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_a_copy_that_was_changed_is_not_loaded(logged: Logged, tmp_path: Path, name: str):
    folder = mlflow.artifacts.download_artifacts(f"models:/{logged.model_name}/{logged.model_version}", dst_path=str(tmp_path))
    [file] = Path(folder).rglob(f"artifacts/*/{name}")
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}.*this copy was changed"):
        mlflow.pyfunc.load_model(folder)


def test_a_version_says_what_it_was_made_from_and_with(client, logged: Logged, candidate: Candidate, snapshot: Snapshot):
    manifest = candidate.release.manifest
    found = client.get_model_version(logged.model_name, logged.model_version)
    assert found.tags == {
        "release": candidate.release.version,
        "dataset_hash": snapshot.hash,
        "feature_set": "toy 1",
        "feature_set_hash": TASK.feature_set.hash,
        "git_revision": source_revision(),
        "python": platform.python_version(),
        "libraries": json.dumps(manifest.libraries, sort_keys=True, separators=(",", ":")),
    }
    assert found.run_id == logged.run_id
    run = client.get_run(logged.run_id)
    assert found.tags.items() <= run.data.tags.items()
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.digest == snapshot.hash[:32]
    assert json.loads(used.dataset.source)["tags"]["training_snapshot"] == snapshot.hash
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{logged.model_name}/{logged.model_version}"))
    pinned = (folder / "requirements.txt").read_text().split()
    assert f"onnxruntime=={version('onnxruntime')}" in pinned
    assert all("==" in requirement for requirement in pinned)
    assert platform.python_version() in (folder / "python_env.yaml").read_text()


def test_registering_says_nothing_in_between(candidate: Candidate, snapshot: Snapshot, tmp_path: Path, capfd):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "(?s).*type hints", UserWarning)
        log_candidate(candidate, snapshot, tmp_path / "mlflow")
    printed = capfd.readouterr()
    for noise in ("registered model", "Created version", "type hints"):
        assert noise not in printed.out + printed.err


def log_made_up(folder: Path, variant: str) -> None:
    """In a process of its own: waits for a line on stdin when it is ready."""
    recipe = Recipe(variant=variant, lightgbm={"num_leaves": 3}, rounds=1)
    choice = Choice(method="none", losses={}, problem="")
    trained = Trained(
        recipe=recipe,
        snapshot="s",
        texts=(),
        choice=choice,
        calibration=UNCALIBRATED,
        selection_loss=0.5,
        folds=(),
        holdout=b"",
        young=(),
    )
    print("ready", flush=True)
    sys.stdin.readline()
    log_variant(trained, "toy", {"auc": 0.5}, folder)


def test_processes_that_meet_a_store_which_is_not_there_yet_all_log(tmp_path: Path):
    program = (
        "import sys; from pathlib import Path; from returnml_tests.modeling.mlflow.test_tracking import log_made_up; "
        "log_made_up(Path(sys.argv[1]), sys.argv[2])"
    )
    names = ["one", "two", "three"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name], **pipes) for name in names]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0, 0]
    with turn(tmp_path) as uri:
        client = mlflow.MlflowClient(uri, uri)
        runs = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert sorted(run.data.tags["variant"] for run in runs) == sorted(names)
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_the_revision_is_that_of_a_checkout_which_has_the_package(tmp_path: Path):
    def git(*words: str) -> str:
        who = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        return subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    revision = source_revision.__wrapped__
    assert revision(package) == "unknown", "no repository at all"
    git("init", "-q")
    assert revision(package) == "unknown", "somebody's repository, which does not have it"
    git("add", ".")
    git("commit", "-q", "-m", "one")
    assert revision(package) == git("rev-parse", "HEAD").strip()
    (package / "__init__.py").write_text("changed = True")
    assert revision(package).endswith("+changes")


def test_the_same_release_is_registered_once(client, logged: Logged, candidate: Candidate, snapshot: Snapshot, root: Path):
    again = log_candidate(candidate, snapshot, root / "mlflow")
    assert again.model_version == logged.model_version
    assert again.run_id != logged.run_id
    assert len(client.search_model_versions(f"name = '{logged.model_name}'")) == 1


def test_aliases_repeat_the_deployment_state(client, logged: Logged, candidate: Candidate, root: Path):
    state = make_champion_of(root, candidate.release.version)
    assert project_aliases(state, logged.model_name, root / "mlflow").changed == {"champion": logged.model_version}
    assert project_aliases(state, logged.model_name, root / "mlflow").changed == {}
    assert str(client.get_model_version_by_alias(logged.model_name, "champion").version) == logged.model_version
    assert project_aliases(DeploymentState(), logged.model_name, root / "mlflow").changed == {"champion": ""}


def test_a_deployed_release_that_was_never_registered_is_reported(logged: Logged, root: Path):
    assert project_aliases(DeploymentState(champion="gone"), logged.model_name, root / "mlflow").unregistered == ["champion"]


def test_aliases_that_somebody_broke_are_repaired(client, logged: Logged, candidate: Candidate, root: Path):
    state = DeploymentState(champion=candidate.release.version)
    project_aliases(state, logged.model_name, root / "mlflow")
    other = client.create_model_version(logged.model_name, "file:///nowhere", tags={}).version
    client.set_registered_model_alias(logged.model_name, "champion", other)
    client.set_registered_model_alias(logged.model_name, "pending", other)
    client.set_registered_model_alias(logged.model_name, "favourite", other)
    repaired = project_aliases(state, logged.model_name, root / "mlflow")
    assert repaired.changed == {"champion": logged.model_version, "pending": ""}
    aliases = client.get_registered_model(logged.model_name).aliases
    assert {name: str(number) for name, number in aliases.items()} == {
        "champion": logged.model_version,
        "favourite": str(other),  # no role of ours
    }
