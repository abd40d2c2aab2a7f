"""The jobs: the morning, the training, and the whole line at once."""

from __future__ import annotations

import dagster as dg

DAILY_SELECTION = dg.AssetSelection.tag("cadence", "daily")
TRAINING_SELECTION = dg.AssetSelection.tag("cadence", "training")

# In one process: a step of its own process costs seconds, and DuckDB lets only one process in at a time anyway.
daily_job = dg.define_asset_job(
    "daily_job",
    DAILY_SELECTION,
    description="Landing files of a day (or, as one run, of a range) to scores, drift, online store and BI copy.",
    executor_def=dg.in_process_executor,
)
training_job = dg.define_asset_job(
    "training_job",
    TRAINING_SELECTION,
    description="A snapshot of the mature lines to an evaluated release.",
    executor_def=dg.in_process_executor,
)
whole_line = dg.define_asset_job(
    "whole_line",
    DAILY_SELECTION | TRAINING_SELECTION,
    description="Everything for a range of days in one run: data, features, model, release, scores.",
    executor_def=dg.in_process_executor,
)

JOBS = [daily_job, training_job, whole_line]
