"""The deployment state and its audit trail."""

import msgspec
import pytest

from returnml.clock import VirtualClock
from returnml.release.deployment import DeploymentError, audit_path, read_state, transition, verify_audit
from returnml.settings import DataPaths

CLOCK = VirtualClock(1_700_000_000_000_000)


def promote(path, version, revision):
    decided_on = msgspec.structs.replace(read_state(path), revision=revision)
    after = decided_on.with_champion(version)
    return transition(path, decided_on, after, action="make_champion", by="test", why="better", clock=CLOCK)


def test_a_champion_is_replaced_and_remembered(tmp_path):
    path = tmp_path / "deployment" / "state.json"
    assert read_state(path).champion is None
    promote(path, "r1", 0)
    promote(path, "r2", 1)
    state = read_state(path)
    assert (state.revision, state.champion, state.previous) == (2, "r2", "r1")
    assert [(r.before["champion"], r.after["champion"]) for r in verify_audit(audit_path(path))] == [(None, "r1"), ("r1", "r2")]


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
    assert len(verify_audit(audit_path(path))) == 1


@pytest.mark.parametrize("torn", [b"", b'{"revision":2,'])
def test_a_kill_between_state_and_trail_is_repaired(tmp_path, torn):
    path = tmp_path / "state.json"
    promote(path, "r1", 0)
    first = audit_path(path).read_bytes()
    promote(path, "r2", 1)
    audit_path(path).write_bytes(first + torn)
    promote(path, "r3", 2)
    assert [r.after["champion"] for r in verify_audit(audit_path(path))] == ["r1", "r2", "r3"]


@pytest.mark.parametrize("damaged", [b"{}\n", b"nonsense\n", b'{"by":"\xff"}\n'])
def test_a_damaged_last_line_of_the_trail_is_named_and_nothing_is_changed(tmp_path, damaged):
    path = tmp_path / "state.json"
    promote(path, "r1", 0)
    trail = audit_path(path)
    trail.write_bytes(trail.read_bytes() + damaged)
    for act in (lambda: promote(path, "r2", 1), lambda: verify_audit(trail)):
        with pytest.raises(DeploymentError, match=r"audit\.jsonl, line 2: "):
            act()
    assert read_state(path).champion == "r1"


@pytest.mark.parametrize("damaged", [b"{", b'{"champion":"\xff"}'])
def test_a_damaged_state_is_named(tmp_path, damaged):
    path = tmp_path / "state.json"
    path.write_bytes(damaged)
    with pytest.raises(DeploymentError, match=r"state\.json: "):
        read_state(path)


def test_an_edited_trail_is_found(tmp_path):
    path = tmp_path / "state.json"
    promote(path, "r1", 0)
    promote(path, "r2", 1)
    trail = audit_path(path)
    trail.write_bytes(trail.read_bytes().replace(b'"by":"test"', b'"by":"else"', 1))
    with pytest.raises(DeploymentError, match="line 2: the chain is broken"):
        verify_audit(trail)


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
    assert promote(moved, "r2", 1).previous == "r1"
    assert read_state(paths.deployment_state("customer_risk")).champion is None
