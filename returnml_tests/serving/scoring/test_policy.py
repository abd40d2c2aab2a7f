"""What the service decides: by the policy file as it is now, logged so that it can be decided again."""

import msgspec
import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.features.sets.order_line import ORDER_LINE
from returnml.ledger.answer_records import find
from returnml.policy.document import PolicyError, read_policy
from returnml.release.deployment import read_state
from returnml.release.folder import load_release
from returnml.settings import TaskSettings
from returnml.tasks.declared import return_risk
from returnml.tasks.policies import policy_of
from returnml.warehouse.answers.answer_recomputation import replay
from returnml_tests.serving import shop
from returnml_tests.waiting import eventually
from serving.app import create_app
from serving.scoring.policy_file import PolicyFile

RESTRICTS = '[rule]\nkind = "thresholds"\nreview = 0.2\nrestrict = 0.35\n'


@pytest.fixture
def policy(tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text(RESTRICTS)
    return file


@pytest.fixture
def settings(tmp_path, policy):
    data = tmp_path / "data"
    shop.publish(data)
    shop.deploy(data)
    return msgspec.structs.replace(shop.settings(data, log_policy="require"), policy=str(policy))


def warnings(client):
    return client.get("/health/ready").json()["warnings"]


def actions(client):
    return [(line["action"], line["is_explored"]) for line in client.post("/v1/score", json=shop.order()).json()["lines"]]


def test_a_changed_policy_decides_without_a_restart_and_a_broken_one_does_not(settings, policy):
    with TestClient(create_app(settings, VirtualClock(shop.now_us()), reload_seconds=0.02)) as client:
        # probabilities 5/13 and 4/12
        assert actions(client) == [("restrict", False), ("review", False)]
        policy.write_text("")
        eventually(lambda: any("it states nothing" in w and w.endswith(" goes on") for w in warnings(client)))
        assert actions(client) == [("restrict", False), ("review", False)]
        policy.write_text(RESTRICTS + "[costs]\nfreight = 1\n")
        eventually(lambda: any("unknown field `freight`" in w for w in warnings(client)))
        assert actions(client) == [("restrict", False), ("review", False)]
        policy.write_text("exploration_share = 1.0\n" + RESTRICTS)
        eventually(lambda: actions(client) == [("allow", True), ("allow", True)])
        eventually(lambda: warnings(client) == [])


def test_an_answer_is_decided_again_with_the_policy_of_then(settings, policy):
    with TestClient(create_app(settings, VirtualClock(shop.now_us()))) as client:
        answer = client.post("/v1/score", json=shop.order()).json()
    before = read_policy(policy)
    policy.write_text("exploration_share = 1.0\n")
    logged = find(settings.paths.inference_log, answer["request_id"])
    assert logged is not None
    assert (logged.policy, logged.action, logged.is_explored, logged.is_stale) == (
        before,
        ["restrict", "review"],
        [False, False],
        False,
    )
    model = load_release(settings.paths.releases / read_state(settings.paths.deployment_state("return_risk")).champion).model
    assert [(n.action, n.replayed_action, n.is_identical) for n in replay(logged, ORDER_LINE, model)] == [
        ("restrict", "restrict", True),
        ("review", "review", True),
    ]


def test_a_tasks_own_policy_decides_online_as_in_batch(settings, policy):
    own = policy.with_name("own.toml")
    own.write_text('[rule]\nkind = "thresholds"\nnudge = 0.1\n')
    settings = msgspec.structs.replace(settings, tasks={"return_risk": TaskSettings(policy=str(own))})
    with TestClient(create_app(settings, VirtualClock(shop.now_us()))) as client:
        assert actions(client) == [("nudge", False), ("nudge", False)]
    assert policy_of(return_risk.TASK, settings) == read_policy(own)


def test_a_file_that_is_being_written_is_not_taken(settings, policy):
    """Its first half can be read as well, and would never restrict."""
    file = PolicyFile(return_risk.TASK, settings)
    old, before = file.look(), file.read()
    policy.write_text("exploration_share = 0.1\n")
    assert file.look() == old
    with pytest.raises(PolicyError, match=r"policy\.toml: it is being written"):
        file.read()
    policy.write_text("exploration_share = 0.1\n" + RESTRICTS)
    assert file.look() == old
    assert file.look() != old
    assert file.read() == msgspec.structs.replace(before, exploration_share=0.1)


def test_without_a_readable_policy_nothing_is_decided(settings, policy):
    policy.write_text("exploration_share = 2\n")
    with TestClient(create_app(settings, VirtualClock(shop.now_us()))) as client:
        response = client.post("/v1/score", json=shop.order())
    assert response.status_code == 503
    assert "policy.toml" in response.json()["detail"]
