"""Differences between two versions of a landing day."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from returnml.clock import VirtualClock
from returnml.contracts.columns import INSPECTIONS
from returnml.sources.landing import LandingError
from returnml.sources.versions import ChangedRow, diff_versions
from returnml_tests.landed import land_day

DAY = date(2025, 3, 1)


def _deliver(landing: Path, verdicts: dict[str, str], **extra: str) -> None:
    frame = pl.DataFrame(
        {
            "inspection_id": list(verdicts),
            "return_id": ["r"] * len(verdicts),
            "inspected_at": [datetime(2025, 3, 1, 9)] * len(verdicts),
            "verdict": list(verdicts.values()),
        }
    ).with_columns(pl.lit(value).alias(name) for name, value in extra.items())
    land_day(landing, INSPECTIONS, DAY, frame, VirtualClock(1))


def test_rows_and_columns_added_removed_and_changed(tmp_path: Path) -> None:
    _deliver(tmp_path, {"a": "worn", "b": "worn", "c": "as_new"})
    _deliver(tmp_path, {"b": "damaged", "c": "as_new", "d": "worn"}, shelf="7")
    difference = diff_versions(tmp_path, "inspections", DAY)
    assert (difference.old.version, difference.new.version) == (1, 2)
    assert (difference.added, difference.removed) == (["d"], ["a"])
    assert difference.changed == [ChangedRow("b", {"verdict": ("worn", "damaged")})]
    assert (difference.columns_added, difference.columns_removed) == (["shelf"], [])


def test_repeated_ids_are_compared_by_occurrence(tmp_path: Path) -> None:
    rows = {
        "inspection_id": ["a", "a"],
        "return_id": ["r", "r"],
        "inspected_at": [datetime(2025, 3, 1)] * 2,
        "verdict": ["worn"] * 2,
    }
    land_day(tmp_path, INSPECTIONS, DAY, pl.DataFrame(rows), VirtualClock(1))
    land_day(tmp_path, INSPECTIONS, DAY, pl.DataFrame(rows).head(1), VirtualClock(1))
    difference = diff_versions(tmp_path, "inspections", DAY, 1, 2)
    assert (difference.added, difference.removed, difference.changed) == ([], ["a"], [])


def test_missing_versions_are_named(tmp_path: Path) -> None:
    with pytest.raises(LandingError, match="nothing was delivered"):
        diff_versions(tmp_path, "inspections", DAY)
    _deliver(tmp_path, {"a": "worn"})
    with pytest.raises(LandingError, match="version 1 has no version before it"):
        diff_versions(tmp_path, "inspections", DAY)
    with pytest.raises(LandingError, match="there is no version 3, only 1"):
        diff_versions(tmp_path, "inspections", DAY, 1, 3)
