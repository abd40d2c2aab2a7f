"""When jobs run by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from returnml.pipeline.checks.freshness_checks import DEADLINE_HOURS


def build_schedules(jobs: Mapping[str, Any]) -> list[Any]:
    """The schedules over a code location's jobs."""
    return [
        dg.build_schedule_from_partitioned_job(
            jobs["daily_job"],
            name="daily_schedule",
            hour_of_day=4,
            description="Every morning at 4:00 UTC, for the day that ended.",
        ),
        dg.ScheduleDefinition(
            name="freshness_schedule",
            job=jobs["freshness_job"],
            cron_schedule=f"5 {DEADLINE_HOURS} * * *",
            description=f"Every morning at {DEADLINE_HOURS}:05 UTC, when yesterday is due.",
        ),
    ]
