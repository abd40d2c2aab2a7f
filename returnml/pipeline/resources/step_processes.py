"""How many steps run at once, and what each of them gets of the machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

import dagster as dg
import msgspec

from returnml.settings import Settings, TrainingSettings

PRELOADED = ("mlflow", "dagster_mlflow", "sklearn.linear_model")
"""Slow to import; they start no thread of Python's and open no connection until they are used, so that they may be forked."""

_DAILY = ("duckdb", "polars", "pandera.polars", "onnxruntime")
_TRAINING = ("lightgbm", "onnxmltools", "optuna", "matplotlib.pyplot")

AT_ONCE_TAG = "returnml/steps_at_once"
"""Of a run whose steps have processes of their own: how many of them at most; without it, one after the other."""


def heavy_modules(job: str) -> tuple[str, ...]:
    """What the steps of a job import, to be imported before its first: a signal finds no step in the middle of an import."""
    return _DAILY if job == "daily_job" else (*_DAILY, *PRELOADED, *_TRAINING)


def steps_at_once(settings: Settings) -> int:
    """As many as the cores and the free memory allow, or as the settings say."""
    if settings.variants.parallel is not None:
        return settings.variants.parallel
    fitting = int(_available_bytes() / (settings.variants.memory_gb * 2**30))
    return max(1, min(len(os.sched_getaffinity(0)), fitting))


def parallel_steps(settings: Settings) -> tuple[dg.ExecutorDefinition, dict[str, str]]:
    """An executor with a process for each step, and the tags of its runs."""
    at_once = steps_at_once(settings)
    # A fork server that has loaded what every step needs: a step starts in a fraction of the seconds that a new process takes.
    start = {"forkserver": {"preload_modules": ["returnml.pipeline.location", *PRELOADED]}}
    executor = dg.multiprocess_executor.configured({"max_concurrent": at_once, "start_method": start})
    return executor, {AT_ONCE_TAG: str(at_once)}


def threads_of(context: dg.AssetExecutionContext, training: TrainingSettings) -> TrainingSettings:
    """The training settings of one step: its share of the threads."""
    at_once = int(context.run.tags.get(AT_ONCE_TAG, "1"))
    return msgspec.structs.replace(training, threads=max(1, training.threads // at_once))


def _available_bytes() -> int:
    """What the kernel says it could give without swapping."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("/proc/meminfo has no MemAvailable: set variants.parallel")
    return int(found[1]) * 1024
