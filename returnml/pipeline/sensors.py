"""What reacts: drift launches retraining, unless it was just done or the data cannot be trusted."""

from collections.abc import Mapping, Sequence

import dagster as dg

from returnml.clock import Clock
from returnml.features.windows import HOUR_US
from returnml.pipeline.checks import DATA_QUALITY
from returnml.pipeline.jobs import training_job
from returnml.settings import Settings

DRIFT_CHECK = dg.AssetCheckKey(dg.AssetKey("drift"), "not_drifted")


def quality_checks(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetCheckKey]:
    """The checks that say whether the data can be trusted."""
    return [spec.key for asset in assets for spec in asset.check_specs if (spec.metadata or {}).get("kind") == DATA_QUALITY]


def latest_verdicts(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> dict[dg.AssetCheckKey, tuple[bool, int]]:
    """Of every evaluated check its last verdict and when that was, microseconds since the epoch."""
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    found: dict[dg.AssetCheckKey, tuple[bool, int]] = {}
    for key, record in records.items():
        event = record.event
        if event is not None and event.dagster_event is not None:
            evaluation = event.dagster_event.asset_check_evaluation_data
            found[key] = (evaluation.passed, int(event.timestamp * 1_000_000))
    return found


def decide(
    verdicts: Mapping[dg.AssetCheckKey, tuple[bool, int]],
    last_launch_us: int | None,
    last_drift_us: int | None,
    now_us: int,
    cooldown_us: int,
) -> dg.SkipReason | str:
    """Whether to retrain: the reason to skip, or the run key to launch with.

    Args:
        verdicts: of the drift check and the quality checks.
        last_launch_us: when retraining was last launched, None where never.
        last_drift_us: the drift verdict that it was launched for.
    """
    drift = verdicts.get(DRIFT_CHECK)
    if drift is None:
        return dg.SkipReason("drift was never measured")
    passed, measured_us = drift
    if passed:
        return dg.SkipReason("no drift")
    if measured_us == last_drift_us:
        return dg.SkipReason("retraining was launched for this measurement already")
    failed = sorted(key.to_user_string() for key, (holds, _) in verdicts.items() if key != DRIFT_CHECK and not holds)
    if failed:
        return dg.SkipReason(f"drift, but the data cannot be trusted: {', '.join(failed)} failed")
    if last_launch_us is not None and now_us - last_launch_us < cooldown_us:
        hours = (cooldown_us - (now_us - last_launch_us)) / HOUR_US
        return dg.SkipReason(f"drift, but retraining was launched lately: {hours:.1f} hours of cool-down left")
    return f"drift-{measured_us}"


def build_drift_sensor(assets: Sequence[dg.AssetsDefinition]) -> dg.SensorDefinition:
    """The sensor over these assets' checks. Its cursor is ``<launched at>,<drift verdict at>``."""
    quality = quality_checks(assets)

    @dg.sensor(
        name="retrain_on_drift",
        job=training_job,
        minimum_interval_seconds=60,
        description="Launches training_job when the drift check failed; blocked by a failed data-quality check and a cool-down.",
    )
    def retrain_on_drift(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings], clock: dg.ResourceParam[Clock]
    ) -> dg.SkipReason | dg.RunRequest:
        launched_us, drift_us = (int(part) for part in context.cursor.split(",")) if context.cursor else (None, None)
        verdicts = latest_verdicts(context.instance, [DRIFT_CHECK, *quality])
        now_us = clock.now_us()
        decision = decide(verdicts, launched_us, drift_us, now_us, settings.drift.retrain_cooldown_hours * HOUR_US)
        if isinstance(decision, dg.SkipReason):
            return decision
        context.update_cursor(f"{now_us},{verdicts[DRIFT_CHECK][1]}")
        return dg.RunRequest(run_key=decision, tags={"returnml/why": "drift"})

    return retrain_on_drift
