"""Parallel steps share the machine: as many as fit, and the threads are divided among them."""

import dagster as dg
import pytest

from returnml.pipeline.resources import step_processes
from returnml.pipeline.resources.step_processes import (
    AT_ONCE_TAG,
    steps_at_once,
    threads_of,
)
from returnml.settings import Settings, TrainingSettings, VariantSettings

GB = 2**30


@pytest.mark.parametrize(
    ("cores", "free_gb", "memory_gb", "expected"),
    [(8, 64, 2.0, 8), (8, 6.5, 2.0, 3), (2, 64, 2.0, 2), (8, 1, 2.0, 1), (8, 3, 0.5, 6)],
)
def test_cores_and_free_memory_bound_the_steps(monkeypatch, cores, free_gb, memory_gb, expected):
    monkeypatch.setattr(step_processes.os, "sched_getaffinity", lambda process: set(range(cores)))
    monkeypatch.setattr(step_processes, "_available_bytes", lambda: int(free_gb * GB))
    assert steps_at_once(Settings(variants=VariantSettings(memory_gb=memory_gb))) == expected
    assert steps_at_once(Settings(variants=VariantSettings(memory_gb=memory_gb, parallel=5))) == 5


def test_what_the_kernel_says_is_read():
    assert 2**20 < step_processes._available_bytes() < 2**50


@pytest.mark.parametrize(("at_once", "threads"), [(None, 8), (1, 8), (3, 2), (8, 1), (99, 1)])
def test_a_step_has_its_share_of_the_threads(at_once, threads):
    found = []

    @dg.asset
    def step(context: dg.AssetExecutionContext) -> None:
        found.append(threads_of(context, TrainingSettings(threads=8)))

    tags = {} if at_once is None else {AT_ONCE_TAG: str(at_once)}
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([step], instance=instance, tags=tags)
    assert found == [TrainingSettings(threads=threads)]
