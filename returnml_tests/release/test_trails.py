"""All trails of a root: heads taken out of it, erasures beside the ledger, and the commands that say what is wrong."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from returnml.cli import app
from returnml.clock import VirtualClock
from returnml.files import readable_json
from returnml.findings import damages
from returnml.instants import instant
from returnml.ledger.event_records import (
    Judged,
    encode_payload,
)
from returnml.ledger.events import CustomerErased
from returnml.ledger.record_log import LogWriter, Position, Record
from returnml.ledger.validator import ACCEPTED
from returnml.release.deployment import AuditRecord, state_after
from returnml.release.erasures import (
    Anchor,
    Erasure,
    anchor_erasures,
    head_path,
    mend_erasures,
    prove_erasures,
    read_erasures,
    record_erasure,
)
from returnml.release.trail import TrailError, heads, lines
from returnml.settings import Settings
from returnml_tests.release.test_proof import TASK, Shop, rewritten
from returnml_tests.roots import rooted

CLOCK = VirtualClock(5)


def erased(n: int) -> Erasure:
    return Erasure(pseudonym=f"p{n}", at_us=n, by="ann", why="asked", seq=n)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    trail = Settings(data=str(rooted(tmp_path))).paths.erasures
    for n in (1, 2, 3):
        record_erasure(trail, erased(n))
    return trail


def run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--data", str(root)])


def drop(path: Path) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines(path)[:-1]))


def alter(path: Path, n: int) -> None:
    path.write_bytes(path.read_bytes().replace(b'"p%d"' % n, b'"q%d"' % n))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "the newest dropped": (drop, "trail_shortened"),
    "the newest altered": (lambda path: alter(path, 3), "trail_differs"),
    "one altered": (lambda path: alter(path, 1), "trail_broken"),
    "the trail deleted": (lambda path: path.unlink(), "trail_shortened"),
    "the head deleted": (lambda path: head_path(path).unlink(), "unanchored"),
    "no head": (lambda path: head_path(path).write_bytes(b"{"), "trail_broken"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_trail_of_erasures_is_found_refused_and_mended(tmp_path: Path, path: Path, name: str):
    plant, code = DAMAGES[name]
    ledger(tmp_path, [1, 2, 3])
    assert prove_erasures(path) == (read_erasures(path), [])
    plant(path)
    found = damages(prove_erasures(path)[1])
    assert [finding.code for finding in found] == [code]
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(TrailError, match=re.escape(found[0].what)):
        record_erasure(path, erased(4))
    assert (path.read_bytes() if path.exists() else None) == before
    result = run(tmp_path, "trail", "verify")
    assert result.exit_code == 1
    assert found[0].what in result.stderr

    command = re.findall(r"returnml (trail (?:mend|anchor).*)$", found[0].mend)[-1]
    result = run(tmp_path, *shlex.split(command.replace("WHO", "bea").replace("WHY", "'looked into'")))
    assert result.exit_code == 0, result.output
    assert {record.pseudonym for record in read_erasures(path)} >= {"p1", "p2", "p3"}, "the ledger has whom the trail lost"
    assert run(tmp_path, "trail", "verify").exit_code == 0
    record_erasure(path, erased(4))
    assert read_erasures(path)[-1].pseudonym == "p4"
    if "mend" in command:
        [word] = msgspec.json.decode(head_path(path).read_bytes(), type=Anchor).accepted
        assert (word.by, word.why, word.found[: len(code)]) == ("bea", "looked into", code)


def ledger(root: Path, forgotten: list[int]) -> None:
    """A ledger that says who was forgotten."""
    log = LogWriter(Settings(data=str(root)).paths.ledger)
    events = [CustomerErased(event_id=f"e{n}", occurred_at=instant(n), customer_id=f"p{n}") for n in forgotten]
    with log.turn():
        _, position = log.tail(Position())
        log.append([Record(n, n, encode_payload(Judged(e, ACCEPTED))) for n, e in zip(forgotten, events, strict=True)], position)
    log.close()


def test_trail_and_head_deleted_together_show_in_the_ledger(tmp_path: Path, path: Path):
    ledger(tmp_path, [1, 2, 3])
    assert run(tmp_path, "trail", "verify").exit_code == 0
    path.unlink()
    head_path(path).unlink()
    result = run(tmp_path, "trail", "verify", "--json")
    assert result.exit_code == 1
    [finding] = json.loads(result.stdout)["findings"]
    assert (finding["code"], finding["what"][:11]) == ("erasure_unrecorded", "3 customers")
    assert run(tmp_path, "trail", "mend", "erasures", "--begin-anew", "--by", "bea", "--why", "lost").exit_code == 0
    assert [(e.pseudonym, e.by, e.why) for e in read_erasures(path)] == [(f"p{n}", "bea", "lost") for n in (1, 2, 3)]


def test_a_kill_between_trail_and_head_is_finished(path: Path):
    before = head_path(path).read_bytes()
    record_erasure(path, erased(4))
    head_path(path).write_bytes(before)
    assert len(read_erasures(path)) == 4
    assert record_erasure(path, erased(4)).seq == 4
    assert msgspec.json.decode(head_path(path).read_bytes(), type=Anchor).head == heads(lines(path))[-1]


def test_erasures_of_before_are_anchored_and_damaged_ones_are_not(path: Path):
    head_path(path).unlink()
    with pytest.raises(TrailError, match="no head"):
        read_erasures(path)
    assert anchor_erasures(path)
    assert not anchor_erasures(path)
    assert len(read_erasures(path)) == 3
    head_path(path).unlink()
    alter(path, 1)
    with pytest.raises(TrailError, match="chain is broken"):
        anchor_erasures(path)
    with pytest.raises(TrailError, match="only begin anew"):
        mend_erasures(path, [], is_anew=False, by="a", why="b", clock=CLOCK)


def test_heads_that_were_exported_find_a_trail_that_was_written_anew(tmp_path: Path):
    shop, out = Shop(tmp_path / "data"), tmp_path / "heads.json"
    root = tmp_path / "data"
    record_erasure(shop.settings.paths.erasures, erased(1))
    ledger(root, [1])
    assert run(root, "trail", "heads", str(out)).exit_code == 0
    assert run(root, "trail", "verify", "--heads", str(out)).exit_code == 0
    shop.settle(shop.release(9))
    assert run(root, "trail", "verify", "--heads", str(out)).exit_code == 0, "it goes on from there"
    rewritten(shop)
    newest = msgspec.json.decode(lines(shop.trail)[-1], type=AuditRecord)
    shop.state.write_bytes(readable_json(state_after(newest, heads(lines(shop.trail))[-1])))
    assert run(root, "trail", "verify").exit_code == 0, "trail and state were written anew, with valid hashes"
    result = run(root, "trail", "verify", "--heads", str(out), "--json")
    assert result.exit_code == 1
    assert [finding["code"] for finding in json.loads(result.stdout)["findings"]] == ["head_not_in_trail"]
    out.write_text("{")
    assert run(root, "trail", "verify", "--heads", str(out)).exit_code == 2


def test_every_reader_says_so(tmp_path: Path):
    shop = Shop(tmp_path / "data")
    for arguments in (("status",), ("release", "list"), ("release", "show", shop.bad.version), ("trail", "verify")):
        assert run(tmp_path / "data", *arguments).exit_code == 0, arguments
    shop.edit(pending=shop.bad.version)
    for arguments in (("status",), ("release", "list"), ("release", "show", shop.bad.version), ("trail", "verify")):
        result = run(tmp_path / "data", *arguments)
        assert result.exit_code == 1, arguments
        assert "mend: returnml trail mend return_risk --trust trail" in result.stderr
    for arguments in (("status", "--json"), ("release", "show", shop.bad.version, "--json"), ("trail", "verify", "--json")):
        result = run(tmp_path / "data", *arguments)
        assert result.exit_code == 1
        assert {f["code"] for f in json.loads(result.stdout)["findings"]} == {"state_edited", "release_rejected"}
    for arguments in (
        ("release", "approve", shop.bad.version, "--by", "a", "--why", "b"),
        ("release", "reconcile"),
        ("trail", "heads", str(tmp_path / "out")),
        ("score", "2025-01-01"),
    ):
        assert run(tmp_path / "data", *arguments).exit_code == 2, arguments
    assert run(tmp_path / "data", "trail", "mend", TASK, "--by", "a", "--why", "b").exit_code == 2
    assert len(lines(shop.trail)) == 3, "nothing was written"
