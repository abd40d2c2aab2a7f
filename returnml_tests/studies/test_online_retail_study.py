"""Reference lines find their own partner, copies included, and no label may differ; the study trains on the past only."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from returnml.settings import TrainingSettings
from returnml.studies import online_retail_study
from returnml.studies.online_retail_study import (
    StudyError,
    match_reference,
    run_study,
)

AT = datetime(2011, 9, 2, 10, 30)


def lines() -> pl.DataFrame:
    """Two copies of one line that differ in price only (the later is returned), another, and one before the test starts."""
    return pl.DataFrame(
        {
            "line_id": ["i1-0003", "i1-0001", "i1-0002", "i0-0001"],
            "order_id": ["i1", "i1", "i1", "i0"],
            "article_id": ["a", "a", "b", "a"],
            "quantity": [2, 2, 1, 2],
            "ordered_at": pl.Series([AT, AT, AT, AT - timedelta(days=60)], dtype=pl.Datetime("us")),
            "customer_id": ["7", "7", "7", "7"],
            "returned": pl.Series([1, 0, 0, 1], dtype=pl.Int8),
        }
    )


def reference(**changes: list) -> pl.DataFrame:
    columns = {
        "InvoiceNo": ["i1", "i1", "i1"],
        "StockCode": ["b", "a", "a"],
        "Quantity": [1, 2, 2],
        "InvoiceDate": ["2011-09-02 10:30:00"] * 3,
        "customer": [7, 7, 7],
        "y": [0, 0, 1],
        "reference": [0.1, 0.2, 0.3],
    }
    return pl.DataFrame({**columns, **changes})


def test_copies_are_matched_in_file_order():
    assert match_reference(lines(), reference()).tolist() == [2, 1, 0]


def test_another_label_is_refused():
    with pytest.raises(StudyError, match="2 labels differ"):
        match_reference(lines(), reference(y=[0, 1, 0]))


def test_another_number_of_lines_is_refused():
    with pytest.raises(StudyError, match="3 test lines here, 2 in the reference"):
        match_reference(lines(), reference().head(2))


def test_a_line_without_a_partner_is_refused():
    with pytest.raises(StudyError, match="1 reference lines are not among ours"):
        match_reference(lines(), reference(Quantity=[9, 2, 2]))


@pytest.fixture
def history(monkeypatch) -> tuple[pl.DataFrame, np.ndarray]:
    """340 days of lines whose returns follow the first of two features; a third never varies."""
    settings = TrainingSettings(rounds=20, num_leaves=7, min_data_in_leaf=20, threads=1, learning_rate=0.1)
    monkeypatch.setattr(online_retail_study, "SETTINGS", settings)
    monkeypatch.setattr(online_retail_study, "SEEDS", (1, 2))
    rng = np.random.default_rng(0)
    rows = 6_000
    minute = np.sort(rng.integers(0, 340 * 1440, rows))
    x = np.column_stack([rng.normal(size=(rows, 2)), np.zeros(rows)]).astype(np.float32)
    frame = pl.DataFrame(
        {
            "line_id": [f"l{i:05d}" for i in range(rows)],
            "order_id": [f"o{i:05d}" for i in range(rows)],
            "article_id": ["a"] * rows,
            "quantity": [1] * rows,
            "ordered_at": pl.Series([datetime(2010, 12, 1) + timedelta(minutes=int(m)) for m in minute], dtype=pl.Datetime("us")),
            "customer_id": [str(c) for c in rng.integers(0, 200, rows)],
            "returned": (rng.random(rows) < 1 / (1 + np.exp(2 - 1.5 * x[:, 0]))).astype(np.int8),
        }
    )
    return frame, x


def published(frame: pl.DataFrame, scores: np.ndarray) -> pl.DataFrame:
    in_test = pl.col("ordered_at").is_between(datetime(2011, 9, 1), datetime(2011, 11, 9), closed="left")
    return frame.with_columns(reference=scores).filter(in_test).select(
        pl.col("order_id").alias("InvoiceNo"),
        pl.col("article_id").alias("StockCode"),
        pl.col("quantity").alias("Quantity"),
        pl.col("ordered_at").dt.strftime("%Y-%m-%d %H:%M:%S").alias("InvoiceDate"),
        pl.col("customer_id").cast(pl.Int64).alias("customer"),
        pl.col("returned").alias("y"),
        "reference",
    )  # fmt: skip


def test_a_model_beats_a_guess_with_certainty(history):
    frame, x = history
    guess = published(frame, np.random.default_rng(1).random(frame.height))
    study = run_study(frame, x, ["signal", "noise", "constant"], guess, replicates=50)
    value, low, high = study.differences["auc"]
    assert 0.1 < low < value < high
    assert (study.inputs, study.parity.rows_over_tolerance, len(study.folds)) == (2, 0, 3)
    assert study.rows == guess.height
    assert study.ours["calibration_error"] < 0.1


def test_what_happens_after_july_changes_no_score(history):
    frame, x = history
    guess = published(frame, np.full(frame.height, 0.5))
    before = run_study(frame, x, ["signal", "noise", "constant"], guess, replicates=20)
    late = (frame["ordered_at"] >= datetime(2011, 8, 1)) & (frame["ordered_at"] < datetime(2011, 9, 1))
    changed = frame.with_columns(returned=pl.when(late).then(1 - pl.col("returned")).otherwise("returned"))
    assert run_study(changed, x, ["signal", "noise", "constant"], guess, replicates=20) == before
