"""Daily scores: the release's own probabilities, replaced whole, refused where they would be wrong."""

from dataclasses import replace
from datetime import date, timedelta

import msgspec
import numpy as np
import polars as pl
import pytest

from returnml.instants import instant_us
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.making.candidate import (
    Candidate,
    train_release,
)
from returnml.policy.decisions import Decider
from returnml.policy.document import Costs, Policy, Segment, Thresholds
from returnml.release.folder import write_release
from returnml.release.manifest import MANIFEST_FILE
from returnml.warehouse.scores import daily_scores
from returnml.warehouse.scores.daily_scores import (
    ScoresError,
    build_scores,
)
from returnml.warehouse.training.training_rows import build_snapshot
from returnml_tests.modeling.shop import FEATURES, SETTINGS, START, TASK, order_lines, warehouse

FIRST, LAST = date(2024, 1, 5), date(2024, 1, 14)
POLICY = Policy(
    costs=Costs(margin_share=0.3),
    segments=(Segment("even", {"product_group": ["even"]}, Thresholds(restrict=0.0)),),
    exploration_share=0.2,
)
LINES = order_lines()


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    root = tmp_path_factory.mktemp("scores")
    snapshot = build_snapshot(warehouse(LINES), TASK, START + timedelta(days=200), root / "training", SETTINGS.label)
    return train_release(snapshot, TASK, SETTINGS, root / "releases")


@pytest.fixture
def con():
    return warehouse(LINES)


@pytest.mark.parametrize("chunk_rows", [1, 500, 1_000_000])
def test_scores_are_what_the_graph_says_of_each_line(con, candidate: Candidate, monkeypatch, chunk_rows: int):
    monkeypatch.setattr(daily_scores, "CHUNK_ROWS", chunk_rows)
    report = build_scores(con, TASK, candidate.release.path, FIRST, LAST, POLICY)
    expected = LINES.filter(pl.col("ordered_at").dt.date().is_between(FIRST, LAST))
    found = con.sql("SELECT * FROM scores.daily").pl()
    assert report.rows == found.height == expected.height
    assert found["line_id"].to_list() == expected["line_id"].to_list()
    probability = OnnxScorer(candidate.release.model).probability(
        expected.select(pl.col(FEATURES).cast(pl.Float32)).to_numpy(order="c")
    )
    np.testing.assert_array_equal(found["probability"].to_numpy(), probability)
    lines = expected.with_columns(product_group=pl.when(pl.col("line_value_cents") % 2 == 0).then(pl.lit("even"))).to_dict(
        as_series=False
    )
    decided = Decider(POLICY).decide(probability, expected["line_value_cents"].to_numpy(), lines)
    cost = decided.expected_cost_cents
    assert found["action"].to_list() == decided.action_names()
    assert found["is_explored"].to_list() == decided.is_explored.tolist()
    assert {"restrict", "allow"} <= set(found["action"])
    assert 0 < found["is_explored"].sum() < found.height
    assert found["policy_hash"].unique().to_list() == [POLICY.hash]
    assert found["expected_cost_cents"].to_list() == cost.tolist()
    assert report.expected_cost_cents == cost.sum()
    assert found["release"].unique().to_list() == [candidate.release.version]


def test_scoring_again_changes_nothing_and_leaves_other_days_alone(con, candidate: Candidate):
    build_scores(con, TASK, candidate.release.path, FIRST, LAST, POLICY)
    before = con.sql("SELECT * FROM scores.daily ORDER BY ALL").pl()
    report = build_scores(con, TASK, candidate.release.path, date(2024, 1, 9), date(2024, 1, 9), POLICY)
    assert report.rows == before.filter(pl.col("day") == date(2024, 1, 9)).height
    assert con.sql("SELECT * FROM scores.daily ORDER BY ALL").pl().equals(before)


def test_a_score_says_whether_its_release_may_have_learnt_the_outcome(con, candidate: Candidate, tmp_path):
    trained_on = candidate.release.manifest.trained_on
    report = build_scores(con, TASK, candidate.release.path, FIRST, date(2024, 3, 1), POLICY)
    until = START + timedelta(microseconds=trained_on.until_us - instant_us(START))
    found = con.sql("SELECT line_id, in_training FROM scores.daily").pl()
    learnt = set(found.filter("in_training")["line_id"])
    expected = LINES.filter((pl.col("ordered_at") <= until) & (pl.col("ordered_at").dt.date() >= FIRST))
    assert learnt == set(expected["line_id"])
    assert 0 < len(learnt) == report.in_training < report.rows
    silent = msgspec.structs.replace(candidate.release.manifest, trained_on=msgspec.UNSET)
    older = write_release(tmp_path, silent, {name: candidate.release.read(name) for name in silent.files})
    assert b"trained_on" not in (older.path / MANIFEST_FILE).read_bytes(), "as releases of before it was said"
    assert build_scores(con, TASK, older.path, FIRST, LAST, POLICY).in_training == 0
    assert con.sql(f"SELECT count(in_training) FROM scores.daily WHERE release = '{older.version}'").fetchall() == [(0,)]


def test_a_day_without_lines_gives_an_empty_partition(con, candidate: Candidate):
    report = build_scores(con, TASK, candidate.release.path, date(2030, 1, 1), date(2030, 1, 2), POLICY)
    assert (report.rows, report.expected_cost_cents) == (0, 0)


def test_features_of_another_feature_set_are_refused(con, candidate: Candidate):
    con.execute("UPDATE features.order_lines SET feature_set_hash = 'other' WHERE day = '2024-01-09'")
    with pytest.raises(ScoresError, match="from 2024-01-09 on have features of another"):
        build_scores(con, TASK, candidate.release.path, FIRST, LAST, POLICY)


def test_an_absent_feature_column_is_refused(con, candidate: Candidate):
    con.execute("ALTER TABLE features.order_lines DROP COLUMN gamma")
    with pytest.raises(ScoresError, match="no column 'gamma'"):
        build_scores(con, TASK, candidate.release.path, FIRST, LAST, POLICY)


def test_a_failure_midway_leaves_the_old_partition(con, candidate: Candidate):
    build_scores(con, TASK, candidate.release.path, FIRST, LAST, POLICY)
    before = con.sql("SELECT * FROM scores.daily ORDER BY ALL").pl()
    con.execute(
        "DELETE FROM core.orders WHERE line_id = (SELECT max(line_id) FROM features.order_lines WHERE day = '2024-01-14')"
    )
    with pytest.raises(ScoresError, match="rebuild these days"):
        build_scores(con, TASK, candidate.release.path, FIRST, LAST, POLICY)
    assert con.sql("SELECT * FROM scores.daily ORDER BY ALL").pl().equals(before)


def test_a_release_of_another_task_is_refused(con, candidate: Candidate):
    with pytest.raises(ScoresError, match="answers return_risk, not other"):
        build_scores(con, replace(TASK, name="other"), candidate.release.path, FIRST, LAST, POLICY)
