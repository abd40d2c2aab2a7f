"""Which returns ``return_abuse`` learns from: what inspections within its days found, and nothing before they are over."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from returnml.settings import LabelSettings
from returnml.tasks.declared.return_abuse import INSPECTION_DAYS, TASK
from returnml.warehouse.features.return_vectors import build_returns
from returnml.warehouse.ingest.schema import ensure_schema
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.training.training_rows import (
    NothingMature,
    build_snapshot,
)

ASKED = datetime(2024, 5, 1, 12)
BOUND = timedelta(days=INSPECTION_DAYS)
MATURE = ASKED + BOUND
LATER = MATURE + timedelta(days=100)
HOUR, TICK = timedelta(hours=1), timedelta(microseconds=1)
SHOP = LabelSettings()


@pytest.fixture
def con():
    with open_warehouse(":memory:", threads=1) as con:
        ensure_schema(con)
        con.execute(
            "INSERT INTO core.orders BY NAME SELECT 'l' AS line_id, 'o' AS order_id, 'c' AS customer_id, 'a' AS article_id, 4 AS "
            "quantity, 1000 AS unit_price_cents, 4000 AS line_value_cents, 'EUR' AS currency, 1 AS seq, $at AS ordered_at, "
            "$at AS known_at, $at::DATE AS known_day",
            {"at": ASKED - timedelta(days=9)},
        )
        yield con


def returned(con, name: str, *, is_orphan: bool = False, is_cancellation: bool | None = None) -> None:
    con.execute(
        "INSERT INTO core.returns BY NAME SELECT $name AS return_id, 'l' AS line_id, 'o' AS order_id, 'c' AS customer_id, "
        "1 AS seq, 1 AS quantity, 1000 AS refund_cents, 'EUR' AS currency, $orphan AS is_orphan, $cancelled AS is_cancellation, "
        "$at AS known_at, $at AS returned_at, $at - INTERVAL 9 DAY AS ordered_at, $at::DATE AS known_day",
        {"name": name, "at": ASKED, "orphan": is_orphan, "cancelled": is_cancellation},
    )


def inspected(con, name: str, at: datetime, *, is_abuse: bool) -> None:
    con.execute(
        "INSERT INTO core.inspections BY NAME SELECT $name AS return_id, uuid()::VARCHAR AS inspection_id, 'c' AS customer_id, "
        "$abuse::BIGINT AS is_abuse, $at AS known_at, $at AS inspected_at, $at::DATE AS known_day, 1 AS seq",
        {"name": name, "abuse": is_abuse, "at": at},
    )


def labels(con, root: Path, cut_off: datetime = LATER) -> dict[str, tuple[int, datetime | None]]:
    """By return: its label, and since when a label of 1 was known."""
    build_returns(con, TASK.feature_set, ASKED.date(), ASKED.date())
    rows = build_snapshot(con, TASK, cut_off, root, SHOP).table().select("row_id", "label", "label_known_at")
    return {row: (label, known) for row, label, known in rows.rows()}


def test_a_return_is_what_its_inspections_found(con, tmp_path: Path):
    for name in ("honest", "abuse", "both", "never"):
        returned(con, name)
    inspected(con, "honest", ASKED + HOUR, is_abuse=False)
    inspected(con, "abuse", ASKED + HOUR, is_abuse=True)
    inspected(con, "both", ASKED + HOUR, is_abuse=False)
    inspected(con, "both", ASKED + 2 * HOUR, is_abuse=True)
    # without an inspection: no label, and not 0
    assert labels(con, tmp_path) == {"honest": (0, None), "abuse": (1, ASKED + HOUR), "both": (1, ASKED + 2 * HOUR)}


def test_a_verdict_counts_until_the_days_are_over(con, tmp_path: Path):
    for name in ("last", "late", "late_abuse"):
        returned(con, name)
    inspected(con, "last", MATURE, is_abuse=True)
    inspected(con, "late", MATURE + TICK, is_abuse=False)
    inspected(con, "late_abuse", ASKED + HOUR, is_abuse=False)
    inspected(con, "late_abuse", MATURE + TICK, is_abuse=True)
    assert labels(con, tmp_path) == {"last": (1, MATURE), "late_abuse": (0, None)}


def test_nothing_is_learnt_from_a_return_before(con, tmp_path: Path):
    returned(con, "fast")
    inspected(con, "fast", ASKED + HOUR, is_abuse=True)
    with pytest.raises(NothingMature, match="none of the returns is mature"):
        labels(con, tmp_path, MATURE - TICK)
    assert labels(con, tmp_path, MATURE) == {"fast": (1, ASKED + HOUR)}


def test_cancellations_orphans_and_verdicts_from_before_have_no_label(con, tmp_path: Path):
    returned(con, "usual", is_cancellation=False)
    returned(con, "cancelled", is_cancellation=True)
    returned(con, "orphan", is_orphan=True)
    returned(con, "judged_before")
    for name in ("usual", "cancelled", "orphan"):
        inspected(con, name, ASKED, is_abuse=True)
    inspected(con, "judged_before", ASKED - TICK, is_abuse=True)
    inspected(con, "judged_before", ASKED + HOUR, is_abuse=True)
    assert labels(con, tmp_path) == {"usual": (1, ASKED)}


def test_the_rule_is_the_tasks_own_and_in_the_snapshot(con, tmp_path: Path):
    returned(con, "usual")
    inspected(con, "usual", ASKED + HOUR, is_abuse=False)
    build_returns(con, TASK.feature_set, ASKED.date(), ASKED.date())
    own = LabelSettings(window_days=INSPECTION_DAYS, grace_days=0)
    for shop in (SHOP, LabelSettings(window_days=100, grace_days=10)):
        snapshot = build_snapshot(con, TASK, LATER, tmp_path, shop)
        assert snapshot.manifest.label == own
    table = snapshot.table()
    assert table.select("anchor_at", "requested_at", "value_cents").rows() == [(ASKED, ASKED, 1000)]
    assert table["order_id"].dtype == pl.String
