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

from returnml.files import locked

EXPERIMENT = "returnml"


def tracking_uri(mlflow_root: Path) -> str:
    """The store's URI; nothing is created."""
    return f"sqlite:///{_database(mlflow_root)}"


@contextmanager
def turn(mlflow_root: Path) -> Iterator[str]:
    """What this process does to the store while no other does; gives the tracking URI.

    Not to be taken again inside. The store and the experiment are made at the first turn: MLflow migrates an empty
    database on first contact.
    """
    import mlflow

    uri = tracking_uri(mlflow_root)
    with locked(mlflow_root / ".turn.lock"):
        client = mlflow.MlflowClient(uri, uri)
        if client.get_experiment_by_name(EXPERIMENT) is None:
            client.create_experiment(EXPERIMENT, artifact_location=(mlflow_root / "artifacts").as_uri())
            with closing(sqlite3.connect(_database(mlflow_root))) as con:
                con.execute("PRAGMA journal_mode=WAL")  # kept in the file: who only reads (the UI) never blocks a turn
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


def _database(mlflow_root: Path) -> Path:
    return mlflow_root / "mlflow.db"
