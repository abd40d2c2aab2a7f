"""MLflow: one parent run per Dagster run that trains, in a local store below the data root unless a server is set."""

import os

import dagster as dg

from returnml.settings import Settings

EXPERIMENT = "returnml"


def tracking_uri(settings: Settings) -> str:
    """``MLFLOW_TRACKING_URI`` where a server is used, else a SQLite file."""
    return os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{settings.paths.mlflow / 'mlflow.db'}")


def mlflow_resource(settings: Settings) -> dg.ResourceDefinition:
    """dagster-mlflow's ``mlflow_tracking`` over our store; MLflow, which is slow to import, is imported on first use."""

    @dg.resource(description="The parent MLflow run of this Dagster run.")
    def mlflow(context: dg.InitResourceContext):
        import mlflow as client
        from dagster_mlflow import mlflow_tracking

        settings.paths.mlflow.mkdir(parents=True, exist_ok=True)
        client.set_tracking_uri(tracking_uri(settings))
        # An experiment keeps the artifact folder it was created with; the default would be ./mlruns.
        if client.get_experiment_by_name(EXPERIMENT) is None:
            client.create_experiment(EXPERIMENT, artifact_location=(settings.paths.mlflow / "artifacts").as_uri())
        config = {"experiment_name": EXPERIMENT, "mlflow_tracking_uri": tracking_uri(settings)}
        # Its own end-of-run hook ends the MLflow run only if the job's last step ran; leaving the resource always does.
        try:
            yield from mlflow_tracking.resource_fn(context.replace_config(config))
        finally:
            client.end_run()

    return mlflow
