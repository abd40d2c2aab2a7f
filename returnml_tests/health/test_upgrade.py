"""A root with the pieces of a version before: what it needs is said, done in order, and gone on with after a kill."""

from __future__ import annotations

from contextlib import closing
from datetime import date

import msgspec
import pytest

from returnml.clock import VirtualClock
from returnml.files import readable_json
from returnml.health.checks.releases import nothing_decides
from returnml.health.upgrading.apply import upgrade
from returnml.health.upgrading.upgrade_plan import UpgradeError, plan_upgrade
from returnml.instants import instant_us
from returnml.release.deployment import read_state
from returnml.release.proof import proof_of
from returnml.root import ROOT_FILE, UPGRADE_FILE, read_root
from returnml.settings import PrivacySettings, Settings
from returnml.warehouse.ingest.schema import ensure_schema
from returnml.warehouse.partition import open_warehouse
from returnml_tests.release.test_proof import Shop
from returnml_tests.store import test_repairs

CLOCK = VirtualClock(instant_us(test_repairs.NOON))
D1 = date(2024, 5, 1)
make_damaged = test_repairs.make_damaged


@pytest.fixture
def old(make_damaged):
    """A root without identity, with trails without heads, a champion of other features and a table that lacks a column."""
    paths = make_damaged("lmdb").paths
    settings = Settings(
        data=str(paths.root), privacy=PrivacySettings(customer_ids="as_delivered"), go_live=test_repairs.GO_LIVE.isoformat()
    )
    shop = Shop(paths.root)
    shop.settle(shop.release(9, compared_with=shop.second.version, feature_set_hash="0" * 64))
    state = msgspec.json.decode(shop.state.read_bytes())
    shop.state.write_bytes(readable_json({name: value for name, value in state.items() if name != "trail"}))
    (paths.root / ROOT_FILE).unlink()
    with closing(open_warehouse(paths.warehouse)) as con:
        con.execute("ALTER TABLE core.returns DROP COLUMN is_link")
    return settings


def ran(settings, days):
    """What of a run of the line the next plan asks about: the columns."""

    def run_line(first, last):
        days.append((first, last))
        with closing(open_warehouse(settings.paths.warehouse)) as con:
            ensure_schema(con)
        return True

    return run_line


def kinds(settings):
    return [step.kind for step in plan_upgrade(settings, CLOCK).steps]


def test_what_a_root_of_before_needs_is_said_and_done_in_order(old):
    champion = read_state(old.paths.deployment_state("return_risk")).champion
    plan = plan_upgrade(old, CLOCK)
    assert [step.kind for step in plan.steps] == ["identity", "trails", "retire", "line"]
    assert (plan.steps[3].first, plan.steps[3].last) == (D1, D1)
    assert "core.returns lacks is_link" in plan.steps[3].why
    assert not (old.paths.root / ROOT_FILE).exists()
    days, told = [], []
    upgrade(old, CLOCK, plan, ran(old, days), lambda step: told.append(step.kind))
    assert (days, told, kinds(old)) == ([(D1, D1)], ["identity", "trails", "retire", "line"], [])
    assert read_root(old.paths.root).made_by.endswith("returnml upgrade")
    proof = proof_of(old, "return_risk").refuse_damaged()
    assert (proof.state.champion, proof.state.previous, proof.records[-1].action) == (None, champion, "retire")
    [finding] = nothing_decides(old)
    assert (finding.code, champion in finding.what, finding.is_damage) == ("nothing_decides", True, False)
    assert not (old.paths.root / UPGRADE_FILE).exists()


@pytest.mark.parametrize("killed_at", ["identity", "trails", "retire", "line"])
def test_a_kill_before_any_step_is_gone_on_from(old, killed_at):
    def kill(step):
        if step.kind == killed_at:
            raise KeyboardInterrupt

    days = []
    with pytest.raises(KeyboardInterrupt):
        upgrade(old, CLOCK, plan_upgrade(old, CLOCK), ran(old, days), kill)
    again = plan_upgrade(old, CLOCK)
    assert (again.is_begun, again.steps[0].kind) == (True, killed_at)
    upgrade(old, CLOCK, again, ran(old, days), lambda step: None)
    assert (days, kinds(old)) == ([(D1, D1)], [])


def test_every_step_may_be_done_twice(old):
    plan = plan_upgrade(old, CLOCK)
    days = []
    upgrade(old, CLOCK, plan, ran(old, days), lambda step: None)
    before = read_state(old.paths.deployment_state("return_risk"))
    upgrade(old, CLOCK, plan, ran(old, days), lambda step: None)
    assert read_state(old.paths.deployment_state("return_risk")) == before


def test_a_run_that_fails_is_tried_again(old):
    with pytest.raises(UpgradeError, match="goes on with it"):
        upgrade(old, CLOCK, plan_upgrade(old, CLOCK), lambda first, last: False, lambda step: None)
    assert kinds(old) == ["line"]
