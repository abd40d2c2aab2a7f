"""The code location reads its data root when it is imported: tests must never see a developer's own."""

import os
import tempfile
from collections.abc import Iterator

import pytest

from returnml_tests.redis_server import RedisProcess

os.environ["RETURNML_DATA"] = tempfile.mkdtemp(prefix="returnml-tests-")
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"


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
