"""The same for all tests, whatever the machine: its speed, the day, its environment and chance decide nothing."""

import os
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest

from returnml_tests.redis_server import RedisProcess
from returnml_tests.waiting import be_patient

# The code location reads its data root when it is imported: tests must never see a developer's own.
os.environ["RETURNML_DATA"] = tempfile.mkdtemp(prefix="returnml-tests-")
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"

# `--hypothesis-profile explore` tries other examples than the last time.
hypothesis.settings.register_profile("explore", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("returnml", hypothesis.settings.get_profile("explore"), derandomize=True, database=None)
hypothesis.settings.load_profile("returnml")

be_patient()


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisProcess]:
    process = RedisProcess()
    yield process
    process.close()


@pytest.fixture
def redis(redis_process: RedisProcess) -> RedisProcess:
    """A running server without any content."""
    redis_process.command("FLUSHALL")
    redis_process.forget_saved()
    return redis_process
