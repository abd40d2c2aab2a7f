"""The deployment state and its audit trail."""

import os
import subprocess
import sys

import msgspec
import pytest

from returnml.clock import VirtualClock
from returnml.release.commit import transition
from returnml.release.deployment import DeploymentError, audit_path, read_state
from returnml.release.proof import prove_trail
from returnml.settings import DataPaths

CLOCK = VirtualClock(1_700_000_000_000_000)


def promote(path, version, revision):
    decided_on = msgspec.structs.replace(prove_trail(path).state, revision=revision)
    after = decided_on.with_champion(version)
    return transition(path, decided_on, after, action="make_champion", by="test", why="better", clock=CLOCK)


def test_a_champion_is_replaced_and_remembered(tmp_path):
    path = tmp_path / "deployment" / "state.json"
    assert read_state(path).champion is None
    promote(path, "r1", 0)
    promote(path, "r2", 1)
    state = read_state(path)
    assert (state.revision, state.champion, state.previous) == (2, "r2", "r1")
    assert [(r.before["champion"], r.after["champion"]) for r in prove_trail(path).records] == [(None, "r1"), ("r1", "r2")]


def test_compare_and_set(tmp_path):
    path = tmp_path / "state.json"
    promote(path, "r1", 0)
    with pytest.raises(DeploymentError, match="at revision 1, not 0"):
        promote(path, "r2", 0)
    assert read_state(path).champion == "r1"


def test_promoting_the_champion_again_changes_nothing(tmp_path):
    path = tmp_path / "state.json"
    promote(path, "r1", 0)
    assert promote(path, "r1", 1).revision == 1
    assert len(prove_trail(path).records) == 1


@pytest.mark.parametrize("torn", [b"", b'{"revision":3,'])
def test_a_kill_between_trail_and_state_counts_and_is_finished(tmp_path, torn):
    path = tmp_path / "state.json"
    promote(path, "r1", 0)
    before = path.read_bytes()
    promote(path, "r2", 1)
    path.write_bytes(before)
    with audit_path(path).open("ab") as trail:
        trail.write(torn)
    proof = prove_trail(path)
    assert (proof.state.champion, proof.state.revision) == ("r2", 2)
    assert {f.code for f in proof.findings} == {"unfinished", *(["torn_line"] if torn else [])}
    assert not any(f.is_damage for f in proof.findings)
    assert read_state(path).champion == "r1", "who only looks writes nothing"
    assert promote(path, "r2", 2).revision == 2, "it decides already: the state alone is written"
    assert read_state(path).champion == "r2"
    promote(path, "r3", 2)
    assert [r.after["champion"] for r in prove_trail(path).records] == ["r1", "r2", "r3"]


def test_a_kill_in_the_first_transition_is_finished(tmp_path):
    path = tmp_path / "state.json"
    promote(path, "r1", 0)
    path.unlink()
    assert prove_trail(path).state.champion == "r1"
    promote(path, "r2", 1)
    assert prove_trail(path).findings == []


@pytest.mark.parametrize("damaged", [b"{}\n", b"nonsense\n", b'{"by":"\xff"}\n'])
def test_a_damaged_last_line_of_the_trail_is_named_and_nothing_is_changed(tmp_path, damaged):
    path = tmp_path / "state.json"
    promote(path, "r1", 0)
    trail = audit_path(path)
    trail.write_bytes(trail.read_bytes() + damaged)
    with pytest.raises(DeploymentError, match=r"audit\.jsonl, line 2: "):
        promote(path, "r2", 0)
    assert read_state(path).champion == "r1"


@pytest.mark.parametrize("damaged", [b"{", b'{"champion":"\xff"}'])
def test_a_damaged_state_is_named(tmp_path, damaged):
    path = tmp_path / "state.json"
    path.write_bytes(damaged)
    with pytest.raises(DeploymentError, match=r"state\.json: "):
        read_state(path)


def test_a_root_with_one_state_for_all_tasks_is_refused_until_it_is_moved(tmp_path):
    paths = DataPaths(tmp_path)
    shared = paths.deployments / "state.json"
    promote(shared, "r1", 0)
    with pytest.raises(DeploymentError, match=r"deployment/state\.json: made before.*audit\.jsonl.*return_risk"):
        read_state(paths.deployment_state("return_risk"))
    moved = paths.deployment_state("return_risk")
    moved.parent.mkdir()
    for file in (shared, audit_path(shared)):
        file.rename(moved.with_name(file.name))
    assert prove_trail(moved).findings == []
    assert promote(moved, "r2", 1).previous == "r1"
    assert read_state(paths.deployment_state("customer_risk")).champion is None


KILLED = """
import os, sys
from pathlib import Path
from returnml.release import commit
from returnml_tests.release.test_deployment import promote

path, step, when = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
whole = getattr(commit, step)

def killed(*args):
    if when == "after":
        whole(*args)
    os._exit(9)

setattr(commit, step, killed)
promote(path, "r2", 1)
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["append", "_write"])
def test_killed_at_any_step_the_old_state_or_the_new_one_is_proven_and_goes_on(tmp_path, step, when):
    path = tmp_path / "state.json"
    promote(path, "r1", 0)
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), step, when], env=environ, check=False)
    assert killed.returncode == 9
    proof = prove_trail(path)
    assert not any(finding.is_damage for finding in proof.findings)
    is_recorded = (step, when) != ("append", "before")
    assert (proof.state.champion, proof.state.revision) == (("r2", 2) if is_recorded else ("r1", 1))
    promote(path, "r3", proof.state.revision)
    assert prove_trail(path).findings == []
    assert read_state(path).previous == ("r2" if is_recorded else "r1")
