"""Which lines reach a snapshot, and that a snapshot is its content."""

from datetime import datetime, timedelta

import duckdb
import numpy as np
import polars as pl
import pytest

from returnml.modeling.data.snapshot import (
    ROWS_FILE,
    SnapshotError,
    read_snapshot,
    verify_snapshot,
)
from returnml.settings import LabelSettings
from returnml.warehouse.training.training_rows import (
    NothingMature,
    build_snapshot,
)
from returnml_tests.modeling.shop import FEATURE_SET, START, TASK, order_lines, warehouse

FAR = START + timedelta(days=200)
LABEL = LabelSettings()


@pytest.fixture
def con():
    return warehouse(order_lines(400, days=20))


def test_the_same_content_has_the_same_hash_and_is_not_written_again(con: duckdb.DuckDBPyConnection, tmp_path):
    first = build_snapshot(con, TASK, FAR, tmp_path, LABEL)
    written = (first.path / ROWS_FILE).stat().st_mtime_ns
    con.execute("CREATE OR REPLACE TABLE core.orders AS SELECT * FROM core.orders ORDER BY line_id DESC")
    con.execute("CREATE OR REPLACE TABLE features.order_lines AS SELECT * FROM features.order_lines ORDER BY hash(line_id)")
    again = build_snapshot(con, TASK, FAR, tmp_path, LABEL)
    assert again == first
    assert (again.path / ROWS_FILE).stat().st_mtime_ns == written
    assert con.sql("SELECT hash, rows FROM training.snapshots").fetchall() == [(first.hash, 400)]
    verify_snapshot(first)


def test_a_snapshot_holds_labels_values_and_float32_features(con: duckdb.DuckDBPyConnection, tmp_path):
    lines = order_lines(400, days=20)
    snapshot = build_snapshot(con, TASK, FAR, tmp_path, LABEL)
    assert snapshot.table()["label"].to_list() == lines["returned"].to_list()
    assert snapshot.base_rate == pytest.approx(lines["returned"].mean())
    matrix = snapshot.matrix()
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, lines.select(pl.col(FEATURE_SET.outputs).cast(pl.Float32)).to_numpy())


def test_a_snapshot_says_when_the_first_return_that_counts_was_known(con: duckdb.DuckDBPyConnection, tmp_path):
    returned = build_snapshot(con, TASK, FAR, tmp_path, LABEL).table().filter(label=1)
    line, ordered = returned["row_id"][0], returned["anchor_at"][0]
    at = [ordered + timedelta(days=days) for days in (1, 6, 4)]
    con.execute("DELETE FROM core.returns WHERE line_id = ?", [line])
    con.execute(
        "INSERT INTO core.returns VALUES (?, true, ?, ?, false)", [line, at[0], at[0]]
    )  # a cancellation counts for nothing
    con.execute("INSERT INTO core.returns VALUES (?, false, ?, ?, true)", [line, at[0], at[0]])  # its line was not known yet
    con.executemany("INSERT INTO core.returns VALUES (?, false, ?, ?, false)", [[line, at[1], at[1]], [line, at[2], at[2]]])
    lines = build_snapshot(con, TASK, FAR, tmp_path, LABEL).table()
    assert lines.filter(row_id=line)["label_known_at"][0] == at[2]
    assert lines["label_known_at"].is_null().to_list() == (lines["label"] == 0).to_list()


def test_a_label_that_is_not_mature_at_the_cut_off_is_unknown(con: duckdb.DuckDBPyConnection, tmp_path):
    cut_off = START + timedelta(days=33 + 5)
    snapshot = build_snapshot(con, TASK, cut_off, tmp_path, LABEL)
    # Known at the start of the day after maturity: a line ordered on day 4 matures on day 37 and is known at day 38.
    assert snapshot.table()["anchor_at"].max() < START + timedelta(days=5)
    assert snapshot.table()["anchor_at"].max() >= START + timedelta(days=4)


def test_one_changed_value_is_another_snapshot(con: duckdb.DuckDBPyConnection, tmp_path):
    before = build_snapshot(con, TASK, FAR, tmp_path, LABEL)
    con.execute("UPDATE features.order_lines SET alpha = alpha + 1 WHERE line_id = 'l000007'")
    assert build_snapshot(con, TASK, FAR, tmp_path, LABEL).hash != before.hash


def test_a_mature_line_without_features_is_refused(con: duckdb.DuckDBPyConnection, tmp_path):
    con.execute("DELETE FROM features.order_lines WHERE day = '2024-01-03'")
    with pytest.raises(SnapshotError, match=r"have no features \(first ordered on 2024-01-03\)"):
        build_snapshot(con, TASK, FAR, tmp_path, LABEL)


def test_features_of_another_feature_set_are_refused(con: duckdb.DuckDBPyConnection, tmp_path):
    con.execute("UPDATE features.order_lines SET feature_set_hash = 'other' WHERE day = '2024-01-04'")
    with pytest.raises(SnapshotError, match="from 2024-01-04 on have features of another feature set"):
        build_snapshot(con, TASK, FAR, tmp_path, LABEL)


def test_outcomes_of_another_label_rule_are_refused(con: duckdb.DuckDBPyConnection, tmp_path):
    with pytest.raises(SnapshotError, match="were not derived with a label window of 14"):
        build_snapshot(con, TASK, FAR, tmp_path, LabelSettings(window_days=14))


def test_lines_with_a_flag_alone_may_be_mature_at_the_end_of_their_window(con: duckdb.DuckDBPyConnection, tmp_path):
    con.execute("UPDATE core.outcomes SET mature_at = ordered_at + INTERVAL 30 DAY")
    with pytest.raises(SnapshotError, match="400 of 400 labels were not derived with a label window of 30 and a grace of 3"):
        build_snapshot(con, TASK, FAR, tmp_path, LABEL)
    con.execute("UPDATE core.orders SET is_returned = (line_id IN (SELECT line_id FROM core.returns))")
    assert build_snapshot(con, TASK, FAR, tmp_path, LABEL).rows == 400


def test_no_mature_line_is_refused(con: duckdb.DuckDBPyConnection, tmp_path):
    with pytest.raises(SnapshotError, match="none of the lines is mature"):
        build_snapshot(con, TASK, datetime(2024, 1, 2), tmp_path, LABEL)


def test_changed_rows_are_noticed(con: duckdb.DuckDBPyConnection, tmp_path):
    snapshot = build_snapshot(con, TASK, FAR, tmp_path, LABEL)
    file = snapshot.path / ROWS_FILE
    pl.read_parquet(file).with_columns(label=1 - pl.col("label")).write_parquet(file)
    with pytest.raises(SnapshotError, match="its rows are not those that its manifest was made for"):
        verify_snapshot(read_snapshot(snapshot.path))


def test_without_any_return_or_flag_nothing_is_learnt(con: duckdb.DuckDBPyConnection, tmp_path):
    con.execute("DELETE FROM core.returns")
    with pytest.raises(
        NothingMature, match=r"no return was delivered up to the cut-off .* what came back is unknown, not nothing"
    ):
        build_snapshot(con, TASK, FAR, tmp_path, LABEL)
    con.execute("UPDATE core.orders SET is_returned = false")
    assert build_snapshot(con, TASK, FAR, tmp_path, LABEL).rows == 400
