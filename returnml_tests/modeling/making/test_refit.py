"""What is deployed has learnt all mature lines, says what was judged, and is compared as a recipe."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from returnml.modeling.data.drift_reference import (
    REFERENCE_FILE,
    Reference,
)
from returnml.modeling.data.snapshot import (
    YOUNG_COLUMNS,
    Rows,
    Snapshot,
)
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.fit.variants import PLAIN
from returnml.modeling.judging.closeness import compare_scores, largest_steps
from returnml.modeling.judging.evaluation import read_evaluation
from returnml.modeling.judging.gates import refit_gate
from returnml.modeling.making.candidate import (
    Candidate,
    train_release,
)
from returnml.modeling.making.release_rebuilding import rebuild
from returnml.modeling.training import refit
from returnml.modeling.training.trained import train_variant
from returnml.modeling.training.training_data import training_data
from returnml.policy.document import Policy, Thresholds
from returnml.settings import DataPaths, GateSettings, Settings
from returnml.warehouse.training.training_rows import build_snapshot
from returnml_tests.modeling.gated import GATED
from returnml_tests.modeling.shop import SETTINGS, START, TASK, order_lines, warehouse

DAYS = 120
LINES = order_lines(12_000, days=DAYS)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refit")


def snapshot_of(root: Path, day: int, lines: pl.DataFrame = LINES) -> Snapshot:
    """What is known on a day: of later lines nothing."""
    con = warehouse(lines.filter(pl.col("ordered_at") < START + timedelta(days=day)))
    return build_snapshot(con, TASK, START + timedelta(days=day), root / "training", SETTINGS.label)


def train(root: Path, day: int, champion: str | None = None, settings: Settings = GATED, **training: float) -> Candidate:
    changed = msgspec.structs.replace(settings, training=msgspec.structs.replace(settings.training, **training))
    return train_release(snapshot_of(root, day), TASK, changed, root / "releases", champion)


@pytest.fixture(scope="module")
def candidate(root: Path) -> Candidate:
    return train(root, DAYS - 7)


def gates(candidate: Candidate) -> dict[str, str]:
    return {gate.name: gate.reason for gate in candidate.verdict.gates}


def test_the_release_has_learnt_every_mature_line_and_is_judged_by_a_model_that_has_not(root: Path, candidate: Candidate):
    snapshot = snapshot_of(root, DAYS - 7)
    data = training_data(snapshot, TASK, GATED.training)
    judged = train_variant(data, PLAIN.recipe(GATED.training, data.names), GATED.training)
    trained_on = candidate.release.manifest.trained_on
    assert (trained_on.rows, trained_on.until_us) == (snapshot.rows, snapshot.manifest.last_anchor_us)
    assert candidate.model.texts != judged.texts
    assert len(data.split.train) < snapshot.rows
    # the figures are the judged model's, to the last bit; the graph's own on these lines, which it has learnt, look better
    own = OnnxScorer(candidate.release.model).probability(data.holdout.x)
    figures = candidate.evaluation.figures
    assert figures["mean_probability"] == pytest.approx(judged.probability.mean(), abs=1e-12)
    assert abs(own.mean() - judged.probability.mean()) > 1e-6
    assert rebuild(candidate.release, TASK, DataPaths(root)) == []


def test_closeness_is_of_young_lines_that_neither_has_seen(root: Path, candidate: Candidate):
    snapshot = snapshot_of(root, DAYS - 7)
    young = snapshot.young()
    assert young.table.columns == list(YOUNG_COLUMNS)
    assert young.table["anchor_at"].min() > snapshot.table()["anchor_at"].max()
    assert snapshot.manifest.young == young.table.height == len(young.x) > 2_500
    found = read_evaluation(candidate.release).closeness
    assert found == candidate.evaluation.closeness
    assert found.rows == len(young.x)
    assert 0 < found.loss_share < 0.02
    said = OnnxScorer(candidate.release.model).probability(young.x)
    assert found.mean_refit == pytest.approx(said.astype(np.float64).mean(), abs=1e-6)
    refit_of = candidate.release.manifest.trained_on.refit
    assert refit_of["loss_share"] == pytest.approx(found.loss_share)
    reference = msgspec.json.decode(candidate.release.read(REFERENCE_FILE), type=Reference)
    assert reference.rows == len(young.x), "drift is measured against lines that the release has not learnt"
    for text in (candidate.release.read("model_card.md").decode(), candidate.release.read("report.html").decode()):
        assert f"the same recipe refitted on all {snapshot.rows:,} lines" in text
        assert "refit_is_close" in text


def test_closeness_in_numbers():
    rows = Rows(pl.DataFrame({"value_cents": [1_000] * 4, "order_id": list("abcd")}), np.zeros((4, 1), np.float32))
    table = rows.table.with_columns(
        pl.lit(None, pl.String).alias(name) for name in YOUNG_COLUMNS if name not in rows.table.columns
    )
    judged, refitted = np.array([0.5, 0.5, 0.2, 0.2]), np.array([0.5, 0.7, 0.2, 0.2])
    found = compare_scores(judged, refitted, Rows(table, rows.x), Policy(rule=Thresholds(nudge=0.6)))
    lost = (0.5 * np.log(0.5 / 0.7) + 0.5 * np.log(0.5 / 0.3)) / 4
    entropy = (2 * np.log(2) - 2 * (0.2 * np.log(0.2) + 0.8 * np.log(0.8))) / 4
    assert found.loss_share == pytest.approx(lost / entropy)
    assert (found.mean_judged, found.mean_refit) == (pytest.approx(0.35), pytest.approx(0.4))
    assert found.mean_gap_share == pytest.approx(0.05 / 0.35)
    assert (found.moved, found.moved_share) == ({"allow to nudge": 1}, 0.25)


def test_a_refit_that_says_something_else_is_rejected(root: Path, monkeypatch: pytest.MonkeyPatch):
    honest = refit.fit_rows

    def of_other_labels(data, rows, recipe, threads):
        shuffled = data.table.with_columns(label=pl.col("label").shuffle(seed=1))
        return honest(replace(data, table=shuffled), rows, recipe, threads)

    monkeypatch.setattr(refit, "fit_rows", of_other_labels)
    candidate = train(root, DAYS - 7)
    assert "refit_is_close" in candidate.release.manifest.rejected
    assert "beyond its bound: log loss" in gates(candidate)["refit_is_close"]


@pytest.mark.parametrize(
    ("bound", "named"),
    [("max_refit_mean_gap_share", "mean"), ("max_refit_moved_share", "actions"), ("max_refit_loss_share", "log loss")],
)
def test_each_bound_rejects(root: Path, bound: str, named: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(refit_gate, "STEPS_ALLOWED", 0.0)
    settings = msgspec.structs.replace(GATED, gates=msgspec.structs.replace(GATED.gates, **{bound: 0.0}))
    rejected = train(root, DAYS - 7, settings=settings)
    assert rejected.release.manifest.rejected == ["refit_is_close"]
    assert gates(rejected)["refit_is_close"].endswith(f"beyond its bound: {named}")


def test_what_the_recipe_moves_from_origin_to_origin_is_allowed_to_the_refit(root: Path, monkeypatch: pytest.MonkeyPatch):
    none = {f"max_refit_{bound}_share": 0.0 for bound in ("loss", "mean_gap", "moved")}
    settings = msgspec.structs.replace(GATED, gates=msgspec.structs.replace(GATED.gates, **none))
    monkeypatch.setattr(refit_gate, "STEPS_ALLOWED", 1000.0)
    allowed = train(root, DAYS - 7, settings=settings)
    assert allowed.release.manifest.rejected == []
    found = allowed.evaluation.closeness
    assert 0 < found.steps.loss_share < 0.05
    assert f"(allowed {1000 * found.steps.loss_share:.1%})" in gates(allowed)["refit_is_close"]


def test_the_largest_step_is_found_for_each_figure():
    table = pl.DataFrame({"value_cents": [1_000] * 2, "order_id": list("ab")})
    table = table.with_columns(pl.lit(None, pl.String).alias(name) for name in YOUNG_COLUMNS if name not in table.columns)
    rows, policy = Rows(table, np.zeros((2, 1), np.float32)), Policy(rule=Thresholds(nudge=0.6))
    said = [np.array(pair) for pair in ([0.5, 0.2], [0.7, 0.2], [0.7, 0.5])]
    found = largest_steps(said, rows, policy)
    steps = [compare_scores(before, after, rows, policy) for before, after in pairwise(said)]
    assert found.moved_share == steps[0].moved_share == 0.5
    assert found.mean_gap_share == steps[1].mean_gap_share > steps[0].mean_gap_share
    assert found.loss_share == max(step.loss_share for step in steps)
    assert largest_steps(said[:1], rows, policy) is None


def test_without_young_lines_the_judged_model_is_released(root: Path):
    snapshot = build_snapshot(warehouse(LINES), TASK, START + timedelta(days=400), root / "training", SETTINGS.label)
    assert snapshot.manifest.young == 0
    candidate = train_release(snapshot, TASK, GATED, root / "releases")
    data = training_data(snapshot, TASK, GATED.training)
    trained_on = candidate.release.manifest.trained_on
    assert (trained_on.rows, trained_on.refit) == (len(data.split.train), {})
    assert trained_on.until_us == data.anchor_us[data.split.train].max() < data.split.holdout_start_us
    assert candidate.evaluation.closeness is None
    assert "the judged model itself is released" in gates(candidate)["refit_is_close"]
    own = OnnxScorer(candidate.release.model).probability(data.holdout.x).astype(np.float64)
    assert candidate.evaluation.figures["mean_probability"] == pytest.approx(own.mean(), abs=1e-6)


def test_two_retrainings_in_consecutive_weeks_have_all_lines_to_be_compared_on(root: Path, candidate: Candidate):
    again = train(root, DAYS, champion=candidate.release.version)
    assert again.release.manifest.rejected == []
    assert again.verdict.compared_with == candidate.release.version
    assert gates(again)["log_loss_not_worse"].startswith(f"the recipe is that of the champion {candidate.release.version}")
    other = train(root, DAYS, champion=again.release.version, seed=2)
    assert other.release.manifest.rejected == []
    reason = gates(other)["log_loss_not_worse"]
    assert f"the recipe of the champion {again.release.version}, both fitted at 3 origins" in reason
    data = training_data(snapshot_of(root, DAYS), TASK, GATED.training)
    assert f"on the same {len(data.split.tested):,} rows" in reason
    assert len(data.split.tested) > 2 * len(data.split.holdout)
    assert "too few to judge it itself by" in gates(other)["champion_not_better"]


def test_a_worse_recipe_is_rejected_though_its_refit_has_seen_more(root: Path, candidate: Candidate):
    worse = train(root, DAYS, champion=candidate.release.version, rounds=3)
    assert "log_loss_not_worse" in worse.release.manifest.rejected
    assert gates(worse)["log_loss_not_worse"].endswith("it is worse")


def test_the_champion_itself_is_judged_on_what_matured_since(root: Path):
    """Made 50 days before: the lines of 50 days have matured, which neither it nor the candidate's recipe there knew."""
    champion = train(root, DAYS - 50, settings=few(20))
    better = train(root, DAYS, champion=champion.release.version, settings=few(20), seed=2)
    since = champion.release.manifest.trained_on.until_us
    data = training_data(snapshot_of(root, DAYS), TASK, GATED.training)
    new = int((data.anchor_us > since).sum())
    reason = gates(better)["champion_not_better"]
    assert f"the champion {champion.release.version} itself" in reason
    assert f"on the same {new:,} rows" in reason
    assert "champion_not_better" not in better.release.manifest.rejected
    worse = train(root, DAYS, champion=champion.release.version, settings=few(20), rounds=3)
    assert {"champion_not_better", "log_loss_not_worse"} <= set(worse.release.manifest.rejected)


def few(lines: int) -> Settings:
    gate = GateSettings(min_segment_lines=200, max_gain_share=0.8, min_holdout_returns=lines, max_calibration_error=0.2)
    return msgspec.structs.replace(GATED, gates=gate)
