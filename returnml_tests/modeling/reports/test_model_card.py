"""The card says what the release is, and the manifest is enough to make it again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import polars as pl
import pytest

from returnml.modeling.making.candidate import Candidate
from returnml.modeling.making.release_rebuilding import (
    RebuildError,
    rebuild,
)
from returnml.release.folder import write_release
from returnml.settings import DataPaths, GateSettings
from returnml_tests.modeling.gated import GATED, Shop
from returnml_tests.modeling.shop import TASK


def test_the_card_says_what_the_release_is(good: Candidate):
    text, page = (good.release.read(name).decode() for name in ("model_card.md", "model_card.html"))
    figures, (low, high) = good.evaluation.figures, good.evaluation.intervals["auc"]
    assert text.startswith("# Model card: return_risk\n")
    assert "<h1>Model card: return_risk</h1>" in page
    for card in (text, page):
        assert f"{figures['auc']:.4f}" in card
        assert f"{low:.4f} to {high:.4f}" in card
        assert str(good.evaluation.maturity) in card
        assert "country DE" in card
        assert good.verdict.policy_hash in card
        assert all(gate.name in card for gate in good.verdict.gates)
        for title in ("Purpose", "Data and training", "Quality", "Gates", "Segments", "Policy", "Limits"):
            assert title in card
    for name in good.plots:
        assert f"(plots/{name}.png)" in text
        assert (good.release.path / f"plots/{name}.png").exists()
    assert page.count('src="data:image/png;base64,') == len(good.plots)


def test_the_card_of_a_rejected_candidate_says_why(shop: Shop, tmp_path: Path):
    policy = tmp_path / "policy.toml"
    policy.write_text('[rule]\nkind = "thresholds"\nreview = 0.4\n')
    settings = msgspec.structs.replace(GATED, gates=GateSettings(min_auc=0.99), policy=str(policy))
    candidate = shop.train(shop.snapshot(lambda lines: lines.with_columns(gamma=pl.lit(1.0))), settings)
    card = candidate.release.read("model_card.md").decode()
    assert "Rejected: better_than_chance" in card
    assert "review from 0.4" in card
    assert "| effect of review | prevents 35%, deters 6%, costs 150 cents |" in card
    (gap,) = candidate.verdict.thresholds
    assert gap.mid_gap is not None
    assert f"| {gap.mid_gap:.6g} |" in card
    assert "1 of 6 inputs had one value in training and play no part (most often what the shop does not deliver): gamma." in card


def test_a_release_is_made_again_from_its_manifest(shop: Shop, good: Candidate):
    """Also one that was judged beside a champion and with a policy of its own."""
    paths = DataPaths(shop.root)
    training = msgspec.structs.replace(GATED.training, seed=7)
    policy_file = shop.root / "policy.toml"
    policy_file.write_text('[rule]\nkind = "thresholds"\nreview = 0.4\n')
    settings = msgspec.structs.replace(GATED, training=training, policy=str(policy_file))
    release = shop.train(shop.snapshot(), settings, champion=good.release.version).release
    policy_file.unlink()
    assert rebuild(release, TASK, paths) == []

    changed = msgspec.structs.replace(release.manifest, seed=8, parameters=release.manifest.parameters | {"seed": 8})
    forged = write_release(paths.releases, changed, {name: release.read(name) for name in changed.files})
    assert {"model.onnx", "trees.txt"} <= set(rebuild(forged, TASK, paths))
    older = msgspec.structs.replace(release.manifest, libraries={"numpy": "0.1"})
    foreign = write_release(paths.releases, older, {name: release.read(name) for name in older.files})
    with pytest.raises(RebuildError, match=r"numpy .* \(was 0\.1\)"):
        rebuild(foreign, TASK, paths)
