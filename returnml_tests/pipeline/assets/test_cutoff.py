"""The cut-off that a run's configuration names."""

from __future__ import annotations

from datetime import datetime

import duckdb
import pytest

from returnml.pipeline.assets.cutoff_config import CutOffConfig
from returnml.warehouse.ingest.cutoff import NothingKnown


@pytest.mark.parametrize("text", ["2025-03-01T00:00", "2025-03-01T01:00+01:00", "2025-03-01T00:00:00Z"])
def test_an_instant_is_taken_to_utc(text: str) -> None:
    assert CutOffConfig(cut_off=text).until(duckdb.connect()) == datetime(2025, 3, 1)


def test_without_one_the_warehouse_says_it() -> None:
    with pytest.raises(NothingKnown):
        CutOffConfig().until(duckdb.connect())
