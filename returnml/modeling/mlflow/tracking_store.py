"""MLflow's SQLite store below the data root: made once, and written by one process at a time.

Training steps run beside each other. SQLite lets one of two writers wait, but fails one that has read before it writes;
and two processes that both find no experiment, or no registered model, both make it. Each therefore takes its turn: to
log takes a fraction of a second, to train takes longer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from returnml.files import (
    locked,
    sqlite_url,
)

EXPERIMENT = "returnml"
_ABSOLUTE = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
"""Where MLflow keeps absolute locations of artifacts: it goes on writing to them, also from a copy of the data root."""


def tracking_uri(mlflow_root: Path) -> str:
    """The store's URI; nothing is created.

    With its driver named MLflow takes it as it is; of a bare ``sqlite:///`` it makes the folder without decoding it.
    """
    return sqlite_url(_database(mlflow_root), "sqlite+pysqlite")


@contextmanager
def turn(mlflow_root: Path) -> Iterator[str]:
    """What this process does to the store while no other does; gives the tracking URI.

    Not to be taken again inside. The store and the experiment are made at the first turn: MLflow migrates an empty
    database on first contact. In a data root that was moved or copied, the first turn moves the artifacts' locations along.
    """
    import mlflow

    uri = tracking_uri(mlflow_root)
    with locked(mlflow_root / ".turn.lock"):
        client, artifacts = mlflow.MlflowClient(uri, uri), (mlflow_root / "artifacts").as_uri()
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            client.create_experiment(EXPERIMENT, artifact_location=artifacts)
            with closing(sqlite3.connect(_database(mlflow_root))) as con:
                con.execute("PRAGMA journal_mode=WAL")  # kept in the file: who only reads (the UI) never blocks a turn
        elif experiment.artifact_location != artifacts:
            _relocate(_database(mlflow_root), experiment.artifact_location, artifacts)
        yield uri


@contextmanager
def nested_run(uri: str, name: str, parent_run_id: str | None) -> Iterator[str]:
    """An active run, below a parent where one is given; gives its id. To be opened in a turn.

    Args:
        parent_run_id: e.g. the run that dagster-mlflow opened.
    """
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = mlflow.MlflowClient(uri, uri)
    if parent_run_id is None:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None  # the turn has made it
        experiment_id = experiment.experiment_id
    else:
        experiment_id = client.get_run(parent_run_id).info.experiment_id
    nested = mlflow.active_run() is not None
    with mlflow.start_run(run_name=name, experiment_id=experiment_id, nested=nested, parent_run_id=parent_run_id) as run:
        yield run.info.run_id


def _relocate(database: Path, old: str, new: str) -> None:
    """Put ``new`` in place of ``old`` at the head of every location of an artifact, in one transaction."""
    with closing(sqlite3.connect(database)) as con, con:
        for table, column in _ABSOLUTE.items():
            con.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, length(?) + 1) "
                f"WHERE {column} = ? OR substr({column}, 1, length(?) + 1) = ? || '/'",
                [new, old, old, old, old],
            )


def _database(mlflow_root: Path) -> Path:
    return mlflow_root / "mlflow.db"
