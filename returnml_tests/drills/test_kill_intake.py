"""A short run of the drill; the long one is ``make drill-intake``."""

import pytest

from returnml_tests.drills.kill_intake import drill

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("backend", ["lmdb", "redis"])
def test_every_acknowledged_event_is_applied_once_after_kill_9(tmp_path, backend, request):
    redis = None if backend == "lmdb" else request.getfixturevalue("redis")
    report = drill(tmp_path, kills=3, seed=1, redis=redis)
    report.kills.pop("everything", 0)
    assert report.kills.total() == 3
    assert report.events >= report.acknowledged > 0
    assert report.aggregates > 0
