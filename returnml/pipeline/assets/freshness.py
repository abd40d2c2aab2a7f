"""The check of every asset that is cut into days: does it hold the day that is due?"""

from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg

from returnml.clock import Clock
from returnml.pipeline.checks import freshness_checks as checks
from returnml.pipeline.partitions import is_partitioned
from returnml.pipeline.verdicts import newest_day
from returnml.settings import Settings


def build_freshness(assets: Sequence[dg.AssetsDefinition]) -> dg.AssetChecksDefinition:
    """One step for all of them; it opens no warehouse. ``freshness_job`` evaluates it, not the jobs that write."""
    keys = [asset.key for asset in assets if is_partitioned(asset)]

    @dg.multi_asset_check(
        name="data_freshness",
        specs=checks.freshness_specs(keys),
        description="How old the data are, whenever they were written.",
        can_subset=True,
    )
    def data_freshness(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings], clock: dg.ResourceParam[Clock]
    ) -> Iterator[dg.AssetCheckResult]:
        from returnml.warehouse.ingest.extent import known_days

        now_us = clock.now_us()
        known = known_days(settings.paths, now_us)
        for key in sorted({selected.asset_key for selected in context.selected_asset_check_keys}):
            day = newest_day(context.instance, key)
            written = None if day is None else date.fromisoformat(day)
            yield checks.freshness_result(key, written, known[1] if known else None, checks.due_day(now_us))

    return data_freshness
