"""What becomes of candidates: gates, approval, a person's refusal, promotion between data roots; all in the audit trail."""

from __future__ import annotations

from pathlib import Path

import pytest

from returnml.clock import VirtualClock
from returnml.release.deployment import DeploymentError, read_state
from returnml.release.folder import Release, ReleaseError, write_release
from returnml.release.promotion import promote
from returnml.release.proof import prove_trail
from returnml.release.transitions import Settled, approve, reject, settle
from returnml.settings import GateSettings, Settings
from returnml_tests.serving.shop import manifest

CLOCK = VirtualClock(1_700_000_000_000_000)


def write(settings: Settings, seed: int, plot: bytes = b"p", **changed: object) -> Release:
    files = {"model.onnx": b"m%d" % seed, "plots/a.png": plot}
    return write_release(settings.paths.releases, manifest(seed=seed, **changed), files)


def settled(settings: Settings, release: Release) -> Settled:
    return settle(settings.paths.deployment_state("return_risk"), release, settings.gates.require_approval, "dagster", CLOCK)


def actions(settings: Settings) -> list[tuple[str, str]]:
    return [(r.action, r.by) for r in prove_trail(settings.paths.deployment_state("return_risk")).records]


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    return Settings(data=str(tmp_path / "dev"))


@pytest.fixture
def careful(tmp_path: Path) -> Settings:
    return Settings(profile="prod", data=str(tmp_path / "prod"), gates=GateSettings(require_approval=True))


def test_what_passed_decides_and_what_did_not_is_kept(shop: Settings):
    assert settled(shop, write(shop, 1, rejected=["calibrated"])).verdict == "rejected"
    assert actions(shop) == []
    first = write(shop, 2)
    assert settled(shop, first).verdict == "champion"
    assert settled(shop, first).why == "it decides already"
    second = write(shop, 3, compared_with=first.version)
    assert settled(shop, second).state.champion == second.version
    assert read_state(shop.paths.deployment_state("return_risk")).previous == first.version
    assert actions(shop) == [("make_champion", "dagster")] * 2


def test_what_was_compared_with_another_champion_waits(shop: Settings):
    first = write(shop, 1)
    settled(shop, first)
    second = settled(shop, write(shop, 2, compared_with="one that is gone"))
    assert second.verdict == "pending"
    assert "compared with one that is gone" in second.why
    assert settled(shop, write(shop, 3)).verdict == "pending"
    assert read_state(shop.paths.deployment_state("return_risk")).champion == first.version


def test_the_champions_model_with_another_plot_is_the_champion(shop: Settings):
    """As after an upgrade that draws it otherwise: it was held against what the champion was held against, not against it."""
    first = write(shop, 1)
    settled(shop, first)
    again = settled(shop, write(shop, 1, plot=b"another"))
    assert again.verdict == "champion"
    assert "its model is the champion's to the bit" in again.why
    assert again.state.previous == first.version
    assert settled(shop, write(shop, 1, plot=b"a third", policy_hash="another")).verdict == "pending"


def test_a_person_approves(careful: Settings):
    first, state = write(careful, 1), careful.paths.deployment_state("return_risk")
    assert settled(careful, first).verdict == "pending"
    assert settled(careful, first).state.revision == 1, "waiting again is no transition"
    approve(state, first, by="ann", why="looks right", clock=CLOCK)
    found = read_state(state)
    assert (found.champion, found.pending) == (first.version, None)
    assert actions(careful) == [("make_pending", "dagster"), ("approve", "ann")]
    with pytest.raises(DeploymentError, match="is not pending"):
        approve(state, first, by="ann", why="again", clock=CLOCK)


def test_a_person_rejects_and_it_does_not_come_back(careful: Settings):
    first, state = write(careful, 1), careful.paths.deployment_state("return_risk")
    settled(careful, first)
    reject(state, first, by="bob", why="season sale", clock=CLOCK)
    again = settled(careful, first)
    assert (again.verdict, again.why) == ("rejected", "bob rejected it: season sale")
    assert again.state.pending is None
    with pytest.raises(DeploymentError, match="is not pending"):
        reject(state, first, by="bob", why="again", clock=CLOCK)


def test_a_newer_candidate_takes_the_place_of_the_one_that_waits(careful: Settings):
    first, second = write(careful, 1), write(careful, 2)
    settled(careful, first)
    settled(careful, second)
    assert read_state(careful.paths.deployment_state("return_risk")).pending == second.version
    with pytest.raises(DeploymentError, match=f"pending: {second.version}"):
        approve(careful.paths.deployment_state("return_risk"), first, by="ann", why="", clock=CLOCK)


def test_a_release_goes_from_root_to_root_with_its_record(shop: Settings, careful: Settings):
    release = write(shop, 1)
    settled(shop, release)
    there = promote(release.version, shop, careful, by="ann", why="a good week", clock=CLOCK)
    assert there.verdict == "pending"
    copied = careful.paths.releases / release.version
    assert {p.relative_to(copied): p.read_bytes() for p in copied.rglob("*") if p.is_file()} == {
        p.relative_to(release.path): p.read_bytes() for p in release.path.rglob("*") if p.is_file()
    }
    (record,) = prove_trail(careful.paths.deployment_state("return_risk")).records
    assert record.evidence["from_profile"] == "dev"
    assert record.evidence["from_action"] == "make_champion"
    assert record.why.startswith("promoted from dev: a good week")


def test_only_what_decided_and_is_whole_is_promoted(shop: Settings, careful: Settings):
    release = write(shop, 1, rejected=["calibrated"])
    with pytest.raises(DeploymentError, match="never decided here"):
        promote(release.version, shop, careful, by="ann", why="w", clock=CLOCK)
    good = write(shop, 2)
    settled(shop, good)
    with pytest.raises(DeploymentError, match="have one data root"):
        promote(good.version, shop, Settings(profile="staging", data=shop.data), by="ann", why="w", clock=CLOCK)
    (good.path / "plots/a.png").write_bytes(b"changed")
    with pytest.raises(ReleaseError, match="do not match the manifest"):
        promote(good.version, shop, careful, by="ann", why="w", clock=CLOCK)
    assert not careful.paths.releases.exists()
