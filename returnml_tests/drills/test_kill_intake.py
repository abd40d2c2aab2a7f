"""A short run of the drill; the long one is ``python -m returnml_tests.drills.kill_intake``."""

from returnml_tests.drills.kill_intake import drill


def test_every_acknowledged_event_is_applied_once_after_kill_9(tmp_path):
    assert drill(tmp_path, rounds=3, seed=7) > 0
