"""What reacts: drift launches retraining, unless it was just done or the data cannot be trusted."""

from collections.abc import Mapping, Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from returnml.clock import Clock
from returnml.features.windows import HOUR_US
from returnml.pipeline.checks import DATA_QUALITY
from returnml.pipeline.partitions import is_partitioned
from returnml.pipeline.verdicts import Verdict, newest_verdicts
from returnml.settings import Settings

DRIFT_CHECK = dg.AssetCheckKey(dg.AssetKey("drift"), "not_drifted")


def quality_checks(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetCheckKey]:
    """The checks that say whether the data can be trusted."""
    return [spec.key for asset in assets for spec in asset.check_specs if (spec.metadata or {}).get("kind") == DATA_QUALITY]


def decide(
    verdicts: Mapping[dg.AssetCheckKey, Verdict],
    last_launch_us: int | None,
    last_drift_day: str | None,
    now_us: int,
    cooldown_us: int,
) -> dg.SkipReason | str:
    """Whether to retrain: the reason to skip, or the run key to launch with.

    Args:
        verdicts: of the drift check and the quality checks, each of its newest day.
        last_launch_us: when retraining was last launched, None where never.
        last_drift_day: the day whose drift it was launched for; a day that is measured again is no news.
    """
    drift = verdicts.get(DRIFT_CHECK)
    if drift is None:
        return dg.SkipReason("drift was never measured")
    if drift.passed:
        return dg.SkipReason(f"no drift on {drift.day}")
    if last_drift_day is not None and drift.day <= last_drift_day:
        return dg.SkipReason(f"retraining was launched for the drift of {last_drift_day} already")
    broken = {key: said for key, said in verdicts.items() if key != DRIFT_CHECK and not said.passed}
    failed = sorted(f"{key.to_user_string()} of {said.day}" for key, said in broken.items())
    if failed:
        return dg.SkipReason(f"drift, but the data cannot be trusted: {', '.join(failed)} failed")
    if last_launch_us is not None and now_us - last_launch_us < cooldown_us:
        hours = (cooldown_us - (now_us - last_launch_us)) / HOUR_US
        return dg.SkipReason(f"drift, but retraining was launched lately: {hours:.1f} hours of cool-down left")
    return f"drift-{drift.day}"


def _launched(cursor: str | None) -> tuple[int | None, str | None]:
    """When retraining was last launched, and for which day; a cursor from before it named days has none."""
    if not cursor:
        return None, None
    launched_us, day = cursor.split(",")
    return int(launched_us), day if "-" in day else None


def build_drift_sensor(assets: Sequence[dg.AssetsDefinition], training_job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """The sensor over these assets' checks. Its cursor is ``<launched at, us>,<day of the drift>``."""
    quality = quality_checks(assets)
    by_day = {asset.key for asset in assets if is_partitioned(asset)}

    @dg.sensor(
        name="retrain_on_drift",
        job=training_job,
        minimum_interval_seconds=60,
        description="Launches training_job when the newest day drifted; blocked by a data-quality check that failed on the "
        "newest day of its asset, and by a cool-down.",
    )
    def retrain_on_drift(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings], clock: dg.ResourceParam[Clock]
    ) -> dg.SkipReason | dg.RunRequest:
        launched_us, day = _launched(context.cursor)
        verdicts = newest_verdicts(context.instance, [DRIFT_CHECK, *quality], by_day)
        now_us = clock.now_us()
        decision = decide(verdicts, launched_us, day, now_us, settings.drift.retrain_cooldown_hours * HOUR_US)
        if isinstance(decision, dg.SkipReason):
            return decision
        context.update_cursor(f"{now_us},{verdicts[DRIFT_CHECK].day}")
        return dg.RunRequest(run_key=decision, tags={"returnml/why": "drift"})

    return retrain_on_drift
