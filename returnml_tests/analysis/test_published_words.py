"""The published copy explains itself: a comment on every table and column, and ready views."""

from __future__ import annotations

import returnml
from returnml.settings import Settings


def test_no_table_and_no_column_lacks_a_comment(analysed: Settings):
    with returnml.open(analysed.data) as shop:
        tables = [table.name for table in shop.tables() if not table.comment]
        columns = shop.sql(
            "SELECT schema_name || '.' || table_name || '.' || column_name FROM duckdb_columns() "
            "WHERE database_name = current_database() AND NOT internal AND coalesce(comment, '') = ''"
        ).fetchall()
        held = {table.name for table in shop.tables()}
    assert tables == []
    assert sorted(name for (name,) in columns) == []
    assert {"scores.daily", "scores.reasons", "monitoring.drift", "training.snapshots", "ops.partitions", "core.orders"} <= held


def test_the_ready_view_has_every_line_once_with_its_outcome(analysed: Settings):
    with returnml.open(analysed.data) as shop:
        lines, outcomes = shop.table("core.orders"), shop.table("core.outcomes")
        ready = shop.table("ready.order_lines")
        days = shop.table("ready.order_lines", "2025-01-02")
    assert ready["line_id"].sort().to_list() == lines["line_id"].sort().to_list()
    assert ready["returned"].drop_nulls().len() == outcomes.height > 50
    assert ready["returned"].sum() == outcomes["returned"].sum() > 0
    assert ready["probability"].null_count() == ready.height  # no model has scored them
    assert {"action", "in_training", "is_explored", "release"} <= set(ready.columns)
    assert 0 < days.height < ready.height
