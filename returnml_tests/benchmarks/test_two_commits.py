"""What the harness of two commits says of its rounds, and which environment the old one gets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.two_commits.ratios import median_ratio
from benchmarks.two_commits.side import LOCK, Side, other_pins, pins, python_of, timed
from returnml_tests.drills.upgrade import PROJECT

OLD = [1.0, 2.0, 4.0, 1.0, 2.0, 4.0, 1.0, 2.0, 4.0]
RATIOS = [1.3, 0.9, 1.6, 1.0, 9.0, 1.4, 1.2, 1.5, 1.1]


def test_the_interval_of_nine_rounds_leaves_out_one_at_each_end():
    new = [o * r for o, r in zip(OLD, RATIOS, strict=True)]
    assert median_ratio(OLD, new) == pytest.approx((1.3, 1.0, 1.6))


def test_six_rounds_need_all_of_them_and_five_are_too_few():
    assert median_ratio([1.0] * 6, RATIOS[:6]) == pytest.approx((1.35, 0.9, 9.0))
    with pytest.raises(ValueError, match="5 rounds are too few for an interval of 95%"):
        median_ratio([1.0] * 5, RATIOS[:5])


def test_only_other_locked_versions_ask_for_an_environment(tmp_path):
    lock = (PROJECT / LOCK).read_text()
    (tmp_path / LOCK).write_text(lock)
    assert python_of(tmp_path, tmp_path / "environment").samefile(sys.executable)
    duckdb = pins(PROJECT)["duckdb"]
    (tmp_path / LOCK).write_text(lock.replace(f"duckdb=={duckdb}", "duckdb==0.0.1") + "\nelsewhere==3.1 \\\n")
    assert other_pins(tmp_path) == ["duckdb==0.0.1", "elsewhere==3.1"]


def test_a_side_that_fails_is_named_with_what_it_said(tmp_path):
    side = Side("old", tmp_path, Path(sys.executable))
    failed = pytest.raises(SystemExit, match=r"nothing, old ended with 1:\n(.|\n)*KeyError: 'nothing'")
    with failed, timed(side, "nothing", tmp_path / "work", tmp_path):
        pass
