"""A few days of the drill; three months of it are ``make drill-replay``."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from returnml_tests.drills.replay import Plan
from returnml_tests.drills.replay_online_retail import kept_on, replay
from returnml_tests.shared import ONLINE_RETAIL, required

pytestmark = pytest.mark.slow


@pytest.fixture
def source() -> Path:
    return required(ONLINE_RETAIL)


@pytest.mark.parametrize("backend", ["lmdb", "redis"])
def test_every_vector_served_in_a_replay_is_identical_in_batch(source, tmp_path, backend):
    with kept_on(backend) as environ:
        days = {"history_from": date(2011, 8, 24), "first": date(2011, 9, 1), "last": date(2011, 9, 2)}
        report = replay(tmp_path, Plan(source, **days, seed=1, kills=1, is_whole=False, environ=environ))
    assert report.problems == [], report.text()
    assert report.figures["workers killed with kill -9"] == "1"
    assert sum(rows for rows, _ in report.days.values()) > 1_000
