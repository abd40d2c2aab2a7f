"""MLflow's store in a data root of any name, and in one that was moved or copied."""

import shutil
from pathlib import Path

import mlflow
import pytest

from returnml.modeling.mlflow.tracking_store import (
    EXPERIMENT,
    nested_run,
    turn,
)


def _logged(root: Path, text: str) -> str:
    """A run with one artifact; returns its id."""
    file = root / "note.txt"
    root.mkdir(exist_ok=True)
    file.write_text(text)
    with turn(root / "mlflow") as uri, nested_run(uri, text, None) as run_id:
        mlflow.log_artifact(str(file))
    return run_id


@pytest.mark.parametrize("name", ["50%41 off", "a #1", "straße?x=1", "[x] {y}", "o'k & co"])
def test_nothing_is_written_outside_a_folder_of_any_name(tmp_path: Path, monkeypatch, name: str):
    monkeypatch.chdir(tmp_path)
    run_id = _logged(tmp_path / name, "here")
    [written] = (tmp_path / name / "mlflow" / "artifacts").rglob("note.txt")
    assert (written.read_text(), run_id in written.parts) == ("here", True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_copied_root_reads_and_writes_its_own_artifacts(tmp_path: Path):
    old, new = tmp_path / "root", tmp_path / "root of the copy"
    before = _logged(old, "before")
    shutil.copytree(old, new)
    shutil.rmtree(old)
    after = _logged(new, "after")
    assert not old.exists()
    with turn(new / "mlflow") as uri:
        client = mlflow.MlflowClient(uri, uri)
        artifacts = (new / "mlflow" / "artifacts").as_uri()
        assert client.get_experiment_by_name(EXPERIMENT).artifact_location == artifacts
        for run_id, text in ((before, "before"), (after, "after")):
            assert client.get_run(run_id).info.artifact_uri == f"{artifacts}/{run_id}/artifacts"
            assert Path(client.download_artifacts(run_id, "note.txt")).read_text() == text


def test_locations_of_somebody_else_are_left_alone(tmp_path: Path):
    """A folder whose name only begins alike is another."""
    old, new = tmp_path / "root", tmp_path / "moved"
    run_id = _logged(old, "before")
    with turn(old / "mlflow") as uri:
        client = mlflow.MlflowClient(uri, uri)
        beside = (old / "mlflow" / "artifacts2").as_uri()
        other = client.create_run(client.create_experiment("beside", artifact_location=beside)).info.run_id
    shutil.move(old, new)
    with turn(new / "mlflow") as uri:
        client = mlflow.MlflowClient(uri, uri)
        assert client.get_run(other).info.artifact_uri == f"{beside}/{other}/artifacts"
        assert client.get_run(run_id).info.artifact_uri.startswith((new / "mlflow" / "artifacts").as_uri() + "/")
