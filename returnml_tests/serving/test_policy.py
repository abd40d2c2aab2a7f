"""What the service decides: by the policy file as it is now, logged so that it can be decided again."""

import msgspec
import pytest
from litestar.testing import TestClient

from returnml.features.order_line import ORDER_LINE
from returnml.ledger.clock import VirtualClock
from returnml.ledger.inference import find
from returnml.modeling.replay import replay
from returnml.policy.document import read_policy
from returnml.release.deployment import read_state
from returnml.release.folder import load_release
from returnml_tests.serving import shop
from returnml_tests.waiting import eventually
from serving.app import create_app

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


def replace(policy, text):
    """At once: an empty file is a policy, too."""
    written = policy.with_name("new")
    written.write_text(text)
    written.rename(policy)


def actions(client):
    return [(line["action"], line["is_explored"]) for line in client.post("/v1/score", json=shop.order()).json()["lines"]]


def test_a_changed_policy_decides_without_a_restart_and_a_broken_one_does_not(settings, policy):
    with TestClient(create_app(settings, VirtualClock(shop.now_us()), reload_seconds=0.02)) as client:
        # probabilities 5/13 and 4/12
        assert actions(client) == [("restrict", False), ("review", False)]
        replace(policy, RESTRICTS + "[costs]\nfreight = 1\n")
        eventually(lambda: any("unknown field `freight`" in w for w in client.get("/health/ready").json()["warnings"]))
        assert actions(client) == [("restrict", False), ("review", False)]
        replace(policy, "exploration_share = 1.0\n" + RESTRICTS)
        eventually(lambda: actions(client) == [("allow", True), ("allow", True)])
        eventually(lambda: client.get("/health/ready").json()["warnings"] == [])


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


def test_without_a_readable_policy_nothing_is_decided(settings, policy):
    policy.write_text("exploration_share = 2\n")
    with TestClient(create_app(settings, VirtualClock(shop.now_us()))) as client:
        response = client.post("/v1/score", json=shop.order())
    assert response.status_code == 503
    assert "policy.toml" in response.json()["detail"]
