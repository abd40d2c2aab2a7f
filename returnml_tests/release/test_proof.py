"""State, last transition, trail and manifests prove each other: each planted damage is found, refused, and mended as it says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from returnml.cli import app
from returnml.clock import VirtualClock
from returnml.files import (
    readable_json,
    sha256,
)
from returnml.findings import Finding, damages
from returnml.release.commit import anchor, mend
from returnml.release.deployment import AuditRecord, DeploymentError, DeploymentState, audit_path, read_state, state_after
from returnml.release.folder import Release, write_release
from returnml.release.proof import proof_of, prove, proven_state
from returnml.release.seal import Seal, seal_of
from returnml.release.trail import Head, heads, lines
from returnml.release.transitions import approve, reject, settle
from returnml.settings import Settings, TrailSettings
from returnml_tests.roots import rooted
from returnml_tests.serving.shop import manifest

CLOCK = VirtualClock(1_700_000_000_000_000)
TASK = "return_risk"


class Shop:
    """A root in which two releases decided one after the other, a third waits, and a fourth is rejected by its gates."""

    def __init__(self, root: Path, trail: TrailSettings | None = None) -> None:
        self.settings = Settings(data=str(rooted(root)), trail=trail or TrailSettings())
        self.releases = self.settings.paths.releases
        self.state = self.settings.paths.deployment_state(TASK)
        self.trail = audit_path(self.state)
        self.first = self.release(1)
        self.second = self.release(2, compared_with=self.first.version)
        self.waiting = self.release(3, compared_with="another")
        self.bad = self.release(4, rejected=["calibrated"])
        for release in (self.first, self.second, self.waiting, self.bad):
            self.settle(release)

    @property
    def seal(self) -> Seal:
        return seal_of(self.settings.trail)

    def release(self, seed: int, **changed: object) -> Release:
        return write_release(self.releases, manifest(seed=seed, **changed), {"model.onnx": b"m%d" % seed})

    def settle(self, release: Release) -> str:
        return settle(self.state, release, False, "dagster", CLOCK, seal=self.seal).verdict

    def edit(self, **changed: object) -> None:
        """As by an editor: fields of the state, and nothing else."""
        state = msgspec.json.decode(self.state.read_bytes())
        self.state.write_bytes(readable_json(state | changed))

    def findings(self) -> list[Finding]:
        return damages(proof_of(self.settings, TASK).findings)

    def forge(self, count: int | None = None, **changed: object) -> AuditRecord:
        """A record that goes on from the trail's first ``count`` ones, as somebody writes it who knows how."""
        kept = lines(self.trail)[:count]
        last = msgspec.json.decode(kept[-1], type=AuditRecord)
        fields = {"revision": len(kept) + 1, "at_us": 1, "by": "x", "action": "approve", "why": "y", "before": last.after}
        record = AuditRecord(**(fields | {"after": last.after, "previous": sha256(kept[-1])} | changed))
        self.trail.write_bytes(b"".join(line + b"\n" for line in [*kept, msgspec.json.encode(record)]))
        return record


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def without_newest(shop: Shop) -> None:
    shop.trail.write_bytes(b"".join(line + b"\n" for line in lines(shop.trail)[:-1]))


def altered_newest(shop: Shop) -> None:
    shop.forge(count=2, by="somebody else", after=shop_roles(shop))


def shop_roles(shop: Shop) -> dict[str, str | None]:
    return read_state(shop.state).roles


def altered_within(shop: Shop) -> None:
    shop.trail.write_bytes(shop.trail.read_bytes().replace(b'"by":"dagster"', b'"by":"another"', 1))


def rewritten(shop: Shop) -> None:
    written, previous = [], "0" * 64
    for line in lines(shop.trail):
        record = msgspec.structs.replace(msgspec.json.decode(line, type=AuditRecord), by="nobody", previous=previous)
        written.append(msgspec.json.encode(record))
        previous = sha256(written[-1])
    shop.trail.write_bytes(b"".join(line + b"\n" for line in written))


def linked(shop: Shop) -> None:
    moved = shop.trail.rename(shop.state.parent / "moved")
    shop.trail.symlink_to(moved)


DAMAGES: dict[str, tuple[Callable[[Shop], object], str]] = {
    "a rejected release waits": (lambda s: s.edit(pending=s.bad.version), "state_edited"),
    "a rejected release decides": (lambda s: s.edit(champion=s.bad.version), "state_edited"),
    "one that waits decides": (lambda s: s.edit(champion=s.waiting.version), "state_edited"),
    "a later revision": (lambda s: s.edit(revision=7), "state_edited"),
    "no last transition": (lambda s: s.edit(last_transition=None), "state_edited"),
    "another head": (lambda s: s.edit(trail={"count": 3, "sha256": "1" * 64}), "state_edited"),
    "no head": (lambda s: s.edit(trail=None), "unanchored"),
    "no JSON": (lambda s: s.state.write_bytes(b"{"), "state_unreadable"),
    "a state of before": (lambda s: s.state.write_bytes(readable_json(DeploymentState())), "state_behind"),
    "the newest record dropped": (without_newest, "trail_shortened"),
    "the newest record altered": (altered_newest, "trail_differs"),
    "a record altered": (altered_within, "trail_broken"),
    "the trail deleted": (lambda s: s.trail.unlink(), "trail_shortened"),
    "the trail rewritten": (rewritten, "trail_differs"),
    "a record that does not go on": (lambda s: s.forge(before={"champion": "z"}), "trail_broken"),
    "a rejected release in trail and state": (
        lambda s: s.forge(after=shop_roles(s) | {"pending": s.bad.version}),
        "release_rejected",
    ),
    "a release that is not there": (
        lambda s: s.forge(after=shop_roles(s) | {"champion": "../../x", "previous": s.second.version}),
        "release_unproven",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_planted_damage_is_found_refused_and_mended_by_the_command_that_is_named(shop: Shop, name: str):
    plant, code = DAMAGES[name]
    deciding = shop_roles(shop)["champion"]
    assert shop.findings() == []
    plant(shop)
    found = shop.findings()
    assert code in {finding.code for finding in found}
    files = {path: path.read_bytes() for path in (shop.state, shop.trail) if path.exists()}
    for act in (
        lambda: proven_state(shop.settings, TASK),
        lambda: approve(shop.state, shop.bad, by="a", why="b", clock=CLOCK),
        lambda: approve(shop.state, shop.waiting, by="a", why="b", clock=CLOCK),
        lambda: reject(shop.state, shop.waiting, by="a", why="b", clock=CLOCK),
        lambda: shop.settle(shop.release(9)),
    ):
        with pytest.raises(DeploymentError, match=re.escape(found[0].what)):
            act()
    assert {path: path.read_bytes() for path in (shop.state, shop.trail) if path.exists()} == files, "nothing was written"

    command = re.findall(r"returnml (trail (?:mend|anchor).*)$", found[0].mend)[-1]
    mended = run(shop, *shlex.split(command.replace("WHO", "ann").replace("WHY", "'looked into'")))
    assert mended.exit_code == 0, mended.output
    assert shop.findings() == []
    assert proven_state(shop.settings, TASK).champion == deciding
    last = proof_of(shop.settings, TASK).records[-1]
    if "mend" in command:
        assert (last.action, last.by, last.why) == ("mend", "ann", "looked into")
        assert code in last.evidence["found"]
        kept = shop.trail.with_name(last.evidence["damaged_trail"]) if "damaged_trail" in last.evidence else None
        assert (kept.read_bytes() if kept else None) == files.get(shop.trail), "what was wrong is kept"
    shop.settle(shop.waiting)
    approve(shop.state, shop.waiting, by="a", why="b", clock=CLOCK)
    assert proven_state(shop.settings, TASK).champion == shop.waiting.version


def run(shop: Shop, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--data", shop.settings.data])


def test_a_trail_that_is_a_link_is_refused(shop: Shop):
    linked(shop)
    assert [finding.code for finding in shop.findings()] == ["trail_broken"]
    with pytest.raises(DeploymentError, match="a link"):
        mend(shop.state, shop.releases, "neither", by="a", why="b", clock=CLOCK)


def test_what_is_right_is_not_mended_and_what_is_damaged_is_not_trusted(shop: Shop):
    with pytest.raises(DeploymentError, match="nothing to mend"):
        mend(shop.state, shop.releases, "trail", by="a", why="b", clock=CLOCK)
    altered_within(shop)
    for trust in ("trail", "state"):
        with pytest.raises(DeploymentError, match="cannot be trusted"):
            mend(shop.state, shop.releases, trust, by="a", why="b", clock=CLOCK)
    with pytest.raises(DeploymentError, match="blank"):
        mend(shop.state, shop.releases, "neither", by=" ", why="b", clock=CLOCK)
    assert [finding.code for finding in shop.findings()] == ["trail_broken"]


def test_without_its_champion_the_one_before_decides_again(shop: Shop):
    shop.forge(after=shop_roles(shop) | {"champion": shop.bad.version, "previous": shop.first.version})
    assert mend(shop.state, shop.releases, "trail", by="a", why="b", clock=CLOCK).champion == shop.first.version


def test_a_rejected_release_does_not_decide_however_well_it_was_forged(shop: Shop):
    """Both files are written with valid hashes; the manifest, whose hash names the folder, says what it always said."""
    record = shop.forge(after=shop_roles(shop) | {"champion": shop.bad.version})
    shop.state.write_bytes(readable_json(state_after(record, Head(record.revision, sha256(msgspec.json.encode(record))))))
    assert [finding.code for finding in shop.findings()] == ["release_rejected"]
    with pytest.raises(DeploymentError, match="rejected by its manifest: calibrated"):
        proven_state(shop.settings, TASK)


def unanchored(shop: Shop) -> None:
    """As a version before wrote it."""
    state = msgspec.json.decode(shop.state.read_bytes())
    del state["trail"]
    shop.state.write_bytes(readable_json(state))


@pytest.mark.parametrize("is_killed", [False, True], ids=["whole", "killed between state and trail"])
def test_a_root_of_before_is_upgraded(shop: Shop, is_killed: bool):
    whole = shop.trail.read_bytes()
    unanchored(shop)
    if is_killed:
        without_newest(shop)
    with pytest.raises(DeploymentError, match="trail"):
        proven_state(shop.settings, TASK)
    assert ("make_pending by dagster" in anchor(shop.state)) is is_killed
    assert shop.trail.read_bytes() == whole
    assert shop.findings() == []
    assert not anchor(shop.state), "nothing is left to do"
    assert shop.settle(shop.release(9)) == "pending"


@pytest.mark.parametrize("plant", [altered_within, rewritten, lambda s: s.edit(champion=s.bad.version)])
def test_what_does_not_agree_is_not_anchored(shop: Shop, plant: Callable[[Shop], None]):
    unanchored(shop)
    plant(shop)
    before = shop.state.read_bytes()
    with pytest.raises(DeploymentError):
        anchor(shop.state)
    assert shop.state.read_bytes() == before


def test_an_empty_root_has_nothing_to_prove(tmp_path: Path):
    proof = prove(tmp_path / "deployment" / TASK / "state.json", tmp_path / "releases")
    assert (proof.state, proof.records, proof.findings) == (DeploymentState(), [], [])
    assert not anchor(tmp_path / "deployment" / TASK / "state.json")


@pytest.fixture
def keys(tmp_path: Path) -> TrailSettings:
    key = Ed25519PrivateKey.generate()
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    pem = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return TrailSettings(signing_key=str(private), public_key=str(public))


def test_with_a_key_nobody_else_can_write_a_record(tmp_path: Path, keys: TrailSettings):
    shop = Shop(tmp_path / "signed", keys)
    assert shop.findings() == []
    record = shop.forge(after=shop_roles(shop) | {"champion": shop.waiting.version, "pending": None})
    assert [finding.code for finding in shop.findings()] == ["unsigned"], "not even as a transition that was killed"
    shop.state.write_bytes(readable_json(state_after(record, Head(record.revision, sha256(msgspec.json.encode(record))))))
    assert [finding.code for finding in shop.findings()] == ["unsigned"]
    with pytest.raises(DeploymentError, match="not signed"):
        shop.settle(shop.release(9))
    borrowed = msgspec.json.decode(lines(shop.trail)[2], type=AuditRecord).signature
    record = shop.forge(count=3, after=record.after, signature=borrowed)
    shop.state.write_bytes(readable_json(state_after(record, Head(record.revision, sha256(msgspec.json.encode(record))))))
    assert [finding.code for finding in shop.findings()] == ["unsigned"], "the signature of another record"


def test_the_public_key_alone_proves_and_writes_nothing(tmp_path: Path, keys: TrailSettings):
    shop = Shop(tmp_path / "signed", keys)
    shop.settings = msgspec.structs.replace(shop.settings, trail=msgspec.structs.replace(keys, signing_key=None))
    assert proven_state(shop.settings, TASK).champion == shop.second.version
    with pytest.raises(DeploymentError, match=r"trail\.signing_key is not"):
        approve(shop.state, shop.waiting, by="a", why="b", clock=CLOCK, seal=shop.seal)
    assert shop.findings() == []


def test_a_trail_from_before_the_key_is_signed_by_the_upgrade(tmp_path: Path, keys: TrailSettings):
    shop = Shop(tmp_path / "unsigned")
    shop.settings = msgspec.structs.replace(shop.settings, trail=keys)
    assert [finding.code for finding in shop.findings()] == ["unsigned"]
    assert anchor(shop.state, shop.seal)
    assert shop.findings() == []
    assert shop.settle(shop.release(9)) == "pending"
    assert shop.findings() == []


def test_a_key_that_cannot_be_read_is_named(tmp_path: Path, keys: TrailSettings):
    shop = Shop(tmp_path / "signed", keys)
    Path(str(keys.public_key)).write_text("none")
    assert [finding.code for finding in shop.findings()] == ["key_unusable"]


def test_the_head_of_a_state_is_its_trails(shop: Shop):
    assert read_state(shop.state).trail == heads(lines(shop.trail))[-1] == Head(3, sha256(lines(shop.trail)[-1]))
