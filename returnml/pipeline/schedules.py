"""When jobs run by themselves."""

from __future__ import annotations

import dagster as dg

from returnml.pipeline.jobs import daily_job

daily_schedule = dg.build_schedule_from_partitioned_job(
    daily_job, name="daily_schedule", hour_of_day=4, description="Every morning at 4:00 UTC, for the day that ended."
)

SCHEDULES = [daily_schedule]
