"""Bad candidates are rejected, each for its own reason; a good one, and the same again, is not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from returnml.modeling.data.snapshot import ROWS_FILE
from returnml.modeling.export.onnx_export import export_onnx
from returnml.modeling.fit.calibration import (
    Calibration,
    fit_calibration,
)
from returnml.modeling.judging.gates.champion import policy_costs
from returnml.modeling.judging.gates.evidence import (
    Evidence,
    HoldOut,
)
from returnml.modeling.judging.gates.exported_decisions import (
    threshold_gaps,
    thresholds_gate,
)
from returnml.modeling.judging.gates.quality import baselines_gate
from returnml.modeling.judging.gates.suspicious_features import feature_aucs
from returnml.modeling.judging.gates.verdict import (
    GATES,
    GATES_FILE,
    Gate,
    Verdict,
)
from returnml.modeling.judging.metrics import (
    ScoredSample,
    mean_difference,
)
from returnml.modeling.judging.out_of_time import Choice
from returnml.modeling.making import candidate as candidate_module
from returnml.modeling.making.candidate import Candidate
from returnml.policy.document import Policy, Thresholds
from returnml.release.folder import load_release, write_release
from returnml.settings import GateSettings
from returnml_tests.modeling.gated import GATED, Shop
from returnml_tests.modeling.shop import START, TASK


def failed(candidate: Candidate) -> dict[str, str]:
    return {gate.name: gate.reason for gate in candidate.verdict.failed}


def test_a_good_candidate_passes_and_says_so(good: Candidate):
    assert failed(good) == {}
    assert [gate.name for gate in good.verdict.gates] == list(GATES)
    written = msgspec.json.decode(good.release.read(GATES_FILE), type=Verdict)
    assert written == good.verdict
    assert good.release.manifest.rejected == []
    assert b"Gates: all hold" in good.release.read("report.html")
    assert {segment.name for segment in good.verdict.segments} >= {"all rows", "country DE", "product_group (missing)"}


def test_a_feature_that_knows_the_outcome_is_named(shop: Shop):
    leaky = shop.train(shop.snapshot(lambda lines: lines.with_columns(beta=pl.col("returned") * 4 + pl.col("beta"))))
    found = failed(leaky)
    assert "beta alone reaches an AUC of 0.99" in found["no_leaking_feature"]
    assert "a feature must know the outcome" in found["not_too_good"]
    assert "beta has" in found["no_dominant_feature"]
    assert load_release(leaky.release.path).manifest.rejected == [gate.name for gate in leaky.verdict.failed]


def test_a_constant_model_is_rejected_and_kept(shop: Shop):
    training = msgspec.structs.replace(GATED.training, min_data_in_leaf=5_000)  # no split is allowed
    constant = shop.train(shop.snapshot(), msgspec.structs.replace(GATED, training=training))
    found = failed(constant)
    assert "1 different scores" in found["not_constant"]
    assert "would not rise" in found["calibration_rises"]
    assert {"better_than_chance", "beats_baselines"} <= set(found)
    assert constant.release.path.is_dir()
    assert b"REJECTED" in constant.release.read("report.html")


def test_a_worse_model_is_rejected_beside_the_champion(shop: Shop, good: Candidate):
    training = msgspec.structs.replace(GATED.training, rounds=2)
    worse = shop.train(shop.snapshot(), msgspec.structs.replace(GATED, training=training), champion=good.release.version)
    assert worse.verdict.compared_with == good.release.version
    reason = failed(worse)["log_loss_not_worse"]
    assert good.release.version in reason
    assert reason.endswith("it is worse")
    alone = shop.train(shop.snapshot(), msgspec.structs.replace(GATED, training=training))
    assert "log_loss_not_worse" not in failed(alone)


def test_the_champion_made_again_is_the_champion(shop: Shop, good: Candidate):
    again = shop.train(shop.snapshot(), champion=good.release.version)
    assert again.release.version == good.release.version
    successor = shop.train(
        shop.snapshot(),
        msgspec.structs.replace(GATED, training=msgspec.structs.replace(GATED.training, seed=2)),
        champion=good.release.version,
    )
    assert successor.verdict.compared_with == good.release.version
    assert (
        shop.train(
            shop.snapshot(),
            msgspec.structs.replace(GATED, training=msgspec.structs.replace(GATED.training, seed=2)),
            champion=successor.release.version,
        ).release.version
        == successor.release.version
    )


def test_a_champion_of_another_feature_set_is_said_to_be_incomparable(shop: Shop, good: Candidate):
    manifest = good.release.manifest
    other = msgspec.structs.replace(manifest, feature_set_hash="f" * 64, compared_with=None)
    foreign = write_release(shop.root / "releases", other, {name: good.release.read(name) for name in manifest.files})
    candidate = shop.train(shop.snapshot(), champion=foreign.version)
    assert candidate.verdict.compared_with is None
    reasons = {gate.name: gate.reason for gate in candidate.verdict.gates}
    assert "of feature set ffffffffffff" in reasons["cost_not_worse"]


def test_an_export_that_decides_otherwise_is_rejected(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    def shifted(model, calibration: Calibration) -> bytes:
        return export_onnx(model, msgspec.structs.replace(calibration, intercept=calibration.intercept + 0.4))

    monkeypatch.setattr(candidate_module, "export_onnx", shifted)
    found = failed(shop.train(shop.snapshot()))
    assert "another probability from the exported graph" in found["export_parity"]
    assert "hold-out lines get another action after the export" in found["no_flipped_decision"]
    assert " becomes " in found["no_flipped_decision"]


@pytest.mark.parametrize("shift", [0.9, -1.5])
def test_a_miscalibrated_model_is_rejected(shop: Shop, monkeypatch: pytest.MonkeyPatch, shift: float):
    def off(self: Choice, margin: np.ndarray, y: np.ndarray) -> Calibration:
        fitted = fit_calibration(margin, y)
        return msgspec.structs.replace(fitted, intercept=fitted.intercept + shift)

    monkeypatch.setattr(Choice, "fitted", off)
    found = failed(shop.train(shop.snapshot()))
    assert "off are all rows" in found["calibrated_in_segments"]
    assert not {"export_parity", "no_flipped_decision", "better_than_chance"} & set(found)


def test_a_segment_that_is_off_is_named(shop: Shop):
    """A country whose returns stop in the hold-out."""

    def quiet(lines: pl.DataFrame) -> pl.DataFrame:
        is_late_german = (pl.col("ordered_at") >= START + timedelta(days=50)) & (pl.col("line_value_cents") % 3 == 0)
        return lines.with_columns(returned=pl.when(is_late_german & (pl.col("alpha") < 1)).then(0).otherwise("returned"))

    found = failed(shop.train(shop.snapshot(quiet)))
    assert "country DE" in found["calibrated_in_segments"]


def test_a_feature_that_died_is_named(shop: Shop):
    def dead(lines: pl.DataFrame) -> pl.DataFrame:
        late = pl.col("ordered_at") >= START + timedelta(days=50)
        return lines.with_columns(alpha=pl.when(late).then(0.0).otherwise("alpha"))

    assert "(alpha)" in failed(shop.train(shop.snapshot(dead)))["no_dead_feature"]


def test_too_little_to_judge_by(shop: Shop):
    settings = msgspec.structs.replace(GATED, gates=GateSettings(min_holdout_returns=10_000))
    assert "10000 of each are needed" in failed(shop.train(shop.snapshot(), settings))["enough_evidence"]


def test_changed_training_data_are_found(tmp_path: Path):
    shop = Shop(tmp_path)
    snapshot = shop.snapshot()
    swapped = snapshot.table().with_columns(label=pl.col("label").shuffle(seed=1))
    swapped.write_parquet(snapshot.path / ROWS_FILE)
    assert "hash_holds" in failed(shop.train(snapshot))["training_data"]


def baselines(y: np.ndarray, customer: np.ndarray, ours: np.ndarray, rival: np.ndarray) -> Gate:
    """The gate of a model beside one baseline."""
    held = HoldOut(np.zeros((len(y), 1), np.float32), y, customer, np.zeros(len(y)), np.zeros(len(y)), {})
    return baselines_gate(
        Evidence(
            ["f"],
            *np.ones((2, 1)),
            held,
            ours,
            ours,
            ours,
            None,
            (y, ours),
            {"rate": rival},
            None,
            Policy(),
            {},
            [],
            "",
            None,
            "",
            1,
            TASK.words,
        )
    )


@pytest.fixture(scope="module")
def truth() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True probabilities of 20,000 lines of 2,000 customers, and what happened."""
    rng = np.random.default_rng(7)
    p = 1 / (1 + np.exp(1.2 - rng.normal(size=20_000)))
    return p, (rng.random(20_000) < p).astype(np.int8), rng.integers(0, 2_000, 20_000)


def test_better_probabilities_beat_a_baseline_that_orders_better_by_chance(truth):
    """Both know as much; the baseline is too sure of it, and the draw has put its AUC a hair above."""
    p, y, customer = truth
    rng = np.random.default_rng(3)
    margin = np.log(p / (1 - p))
    ours, rival = (1 / (1 + np.exp(-sure * (margin + rng.normal(size=len(p)) / 4))) for sure in (1, 2))
    assert 0 < ScoredSample(y, rival).figures()["auc"] - ScoredSample(y, ours).figures()["auc"] < 0.002
    gate = baselines(y, customer, ours, rival)
    assert gate.passed, gate.reason
    assert "against rate -0.0" in gate.reason


def test_a_gain_that_may_be_chance_is_a_gain_and_is_said_to_be_so(truth):
    """Better by a trace in both figures."""
    p, y, customer = truth
    nudged = p + np.where(np.arange(len(y)) % 2_000 == 0, 0.01 * (2 * y - 1), 0.0)
    few = slice(0, 2_000)
    gate = baselines(y[few], customer[few], nudged[few], p[few])
    assert gate.passed
    assert gate.value < 0
    assert gate.reason.endswith("the gain may be chance")
    other_way = baselines(y[few], customer[few], p[few], nudged[few])
    assert not other_way.passed
    assert other_way.reason.endswith("there is no gain")


def test_what_equals_a_baseline_does_not_beat_it_and_what_orders_worse_neither(truth):
    p, y, customer = truth
    same = baselines(y, customer, p, p)
    assert (same.passed, same.value) == (False, 0.0)
    assert same.reason.endswith("there is no gain")
    # log loss gains by being less sure of the wrong order
    badly = baselines(y, customer, np.full(len(y), y.mean()), 1 / (1 + ((1 - p) / p) ** 6))
    assert not badly.passed
    assert badly.reason.endswith("it orders worse")


def evidence(scores: list[float], policy: Policy) -> Evidence:
    """Only what decisions are made from."""
    n = len(scores)
    held = HoldOut(
        np.zeros((n, 1), np.float32), np.zeros(n), np.zeros(n), np.zeros(n), np.full(n, 1_000), {"order_id": ["o"] * n}
    )
    graph = np.array(scores, np.float32)
    return Evidence(
        ["f"],
        np.ones(1),
        np.ones(1),
        held,
        graph,
        graph,
        graph,
        None,
        (held.y, graph),
        {},
        None,
        policy,
        {},
        [],
        "",
        None,
        "",
        1,
        TASK.words,
    )


def test_thresholds_are_placed_among_the_scores():
    policy = Policy(rule=Thresholds(nudge=0.25, review=0.5, restrict=0.9))
    gaps = threshold_gaps(evidence([0.125, 0.5, 0.75], policy))
    assert [(g.action, g.below, g.above, g.mid_gap) for g in gaps] == [
        ("nudge", 0.125, 0.5, 0.3125),
        ("review", 0.125, 0.5, 0.3125),
        ("restrict", 0.75, None, None),
    ]
    gate = thresholds_gate(gaps, 1e-7)
    assert not gate.passed
    assert "review at 0.5 (rule) lies 0 from the nearest score" in gate.reason
    assert "0.3125" in gate.reason
    moved = threshold_gaps(evidence([0.125, 0.5, 0.75], Policy(rule=Thresholds(nudge=0.3125))))
    assert thresholds_gate(moved, 1e-7).passed
    assert thresholds_gate([], 1e-7).passed


def test_one_feature_alone():
    y = np.array([0, 0, 1, 1])
    x = np.array([[1, 4, np.nan, 7], [2, 3, np.nan, 7], [3, 2, 1, 7], [4, 1, 1, 7]], np.float32)
    np.testing.assert_allclose(feature_aucs(x, y), [1.0, 1.0, 1.0, 0.5])


def test_costs_are_what_happened():
    policy = Policy(rule=Thresholds(restrict=0.5))
    held = HoldOut(
        np.zeros((2, 1), np.float32),
        np.array([1, 0]),
        np.zeros(2),
        np.zeros(2),
        np.array([10_000, 10_000]),
        {"order_id": ["a", "b"]},
    )
    # restricted: half the sale is deterred, 90% of the rest's returns; allowed: the return's full cost, or nothing
    np.testing.assert_allclose(policy_costs(policy, np.array([0.9, 0.9]), held), [0.5 * 0.1 * 2_250, 0.5 * 4_000])
    np.testing.assert_allclose(policy_costs(policy, np.array([0.1, 0.1]), held), [2_250, 0])


def test_the_interval_of_a_difference_draws_customers():
    rng = np.random.default_rng(3)
    per_customer = rng.normal(size=200)
    customer = np.repeat(np.arange(200), 50)
    value, low, high = mean_difference(per_customer[customer], customer, replicates=500, seed=1)
    assert low < value < high
    assert (high - low) / 2 == pytest.approx(1.96 * per_customer.std() / np.sqrt(200), rel=0.15)
