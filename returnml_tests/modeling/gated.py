"""A shop whose candidates are judged, for the tests of gates, cards and rebuilding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
import polars as pl

from returnml.modeling.data.snapshot import Snapshot
from returnml.modeling.making.candidate import (
    Candidate,
    train_release,
)
from returnml.settings import GateSettings, Settings
from returnml.warehouse.training.training_rows import build_snapshot
from returnml_tests.modeling.shop import SETTINGS, START, TASK, order_lines, warehouse

GATED = msgspec.structs.replace(SETTINGS, gates=GateSettings(min_segment_lines=200, max_gain_share=0.8))


@dataclass
class Shop:
    """Snapshots and releases in one root."""

    root: Path

    def snapshot(self, change: Callable[[pl.DataFrame], pl.DataFrame] = lambda lines: lines) -> Snapshot:
        con = warehouse(change(order_lines()))
        return build_snapshot(con, TASK, START + timedelta(days=200), self.root / "training", SETTINGS.label)

    def train(self, snapshot: Snapshot, settings: Settings = GATED, champion: str | None = None) -> Candidate:
        return train_release(snapshot, TASK, settings, self.root / "releases", champion)
