"""Assembles a code location from settings. Everything else is defined where it belongs; nothing here reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from returnml.attributes import Attributes
from returnml.clock import clock_of
from returnml.modeling.fit.variants import (
    VariantError,
    chosen_variants,
)
from returnml.pipeline.assets import (
    data,
    features,
    inference,
    maturity,
    monitoring,
    scores,
    serving,
    training,
    tuning_assets,
    variant_assets,
)
from returnml.pipeline.assets.freshness import build_freshness
from returnml.pipeline.jobs import build_jobs
from returnml.pipeline.partitions import (
    daily_partitions,
    partitioned,
)
from returnml.pipeline.resources.mlflow_resource import mlflow_resource
from returnml.pipeline.resources.root_resource import root_settings
from returnml.pipeline.resources.warehouse_resource import warehouse_resource
from returnml.pipeline.schedules import build_schedules
from returnml.pipeline.sensors import build_drift_sensor
from returnml.settings import Settings, SettingsError, load_settings
from returnml.tasks.registry import refuse_unknown


def build_assets(attributes: Attributes) -> list[dg.AssetsDefinition]:
    """All assets of a shop with these attributes."""
    return [
        *data.build_assets(attributes),
        *inference.build_assets(attributes),
        *features.build_assets(attributes),
        *training.build_assets(attributes),
        *tuning_assets.build_assets(attributes),
        *variant_assets.build_assets(attributes),
        *scores.build_assets(attributes),
        *serving.ASSETS,
        *monitoring.ASSETS,
        *maturity.ASSETS,
    ]


def build_defs(
    settings: Settings | None = None,
    resource_overrides: Mapping[str, Any] | None = None,
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """The definitions. Locations of different settings may be built in one process.

    Args:
        settings: default: read from ``returnml.toml`` and ``RETURNML_*`` variables.
        resource_overrides: resources by name (``settings``, ``clock``, ``warehouse``, ``mlflow``) in place of the usual ones.
        loggers: by name, in place of Dagster's console.

    Raises:
        SettingsError: if the settings speak of a task or a variant that there is not.
    """
    settings = settings or load_settings()
    _refuse_unknown_names(settings)
    resources = {
        "settings": root_settings(settings),
        "clock": clock_of(settings.replay_clock),
        "warehouse": warehouse_resource(settings),
        "mlflow": mlflow_resource(settings),
        # holds the names that training steps hand on: snapshot and release
        "io_manager": dg.FilesystemIOManager(base_dir=str(settings.paths.dagster / "storage")),
    }
    days = daily_partitions(settings)
    assets = [partitioned(asset, days) for asset in build_assets(settings.shop_attributes)]
    freshness = build_freshness(assets)
    jobs = build_jobs(settings, freshness)
    return dg.Definitions(
        assets=assets,
        asset_checks=[freshness],
        jobs=list(jobs.values()),
        schedules=build_schedules(jobs),
        sensors=[build_drift_sensor(assets, jobs["training_job"])],
        resources={**resources, **(resource_overrides or {})},
        loggers=loggers,
        executor=dg.in_process_executor,
    )


def _refuse_unknown_names(settings: Settings) -> None:
    """Before anything runs: the variants' turn comes late."""
    refuse_unknown(settings)
    try:
        chosen_variants(settings.variants.names)
    except VariantError as error:
        raise SettingsError(f"settings: {error}") from error
