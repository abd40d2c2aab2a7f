"""MLflow: one parent run per Dagster run that trains, in the store below the data root."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from returnml.settings import Settings


def mlflow_resource(settings: Settings) -> dg.ResourceDefinition:
    """dagster-mlflow's ``mlflow_tracking`` over our store; MLflow, which is slow to import, is imported on first use."""

    @dg.resource(description="The parent MLflow run of this Dagster run.")
    def mlflow(context: dg.InitResourceContext) -> Iterator[Any]:
        import mlflow as client
        from dagster_mlflow import mlflow_tracking

        from returnml.modeling.mlflow.tracking_store import (
            EXPERIMENT,
            turn,
        )

        # Steps of one run that start together must find one parent run, not make one each.
        with turn(settings.paths.mlflow) as uri:
            client.set_tracking_uri(uri)
            config = {"experiment_name": EXPERIMENT, "mlflow_tracking_uri": uri}
            open_run: Any = mlflow_tracking.resource_fn  # which Dagster types as one that may go without a context
            opened = open_run(context.replace_config(config))
            parent = next(opened)
        # Its own end-of-run hook ends the MLflow run only if the job's last step ran; leaving the resource always does.
        try:
            yield parent
        finally:
            with turn(settings.paths.mlflow):
                next(opened, None)  # it marks the run as failed where an error is on its way
                client.end_run()

    return mlflow
