"""Doing an upgrade, step by step: what is left stands in the root, so that whoever runs it again goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import date

from returnml.clock import Clock
from returnml.features.windows import DAY_US
from returnml.health.checks.software_versions import of_other_features
from returnml.health.upgrading.upgrade_plan import Plan, Step, UpgradeError, keep
from returnml.privacy.root_making import adopt_root
from returnml.release.commit import anchor, transition
from returnml.release.erasures import anchor_erasures
from returnml.release.proof import proven_state
from returnml.release.seal import seal_of
from returnml.settings import Settings
from returnml.store.backend_choice import open_backend
from returnml.tasks.live_sets import live_feature_sets
from returnml.tasks.registry import tasks
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.publication import publish_warehouse

BY = "returnml upgrade"
RunLine = Callable[[date, date], bool]
"""Runs the whole line over days; whether it succeeded, having said why not."""
Tell = Callable[[Step], None]


def upgrade(settings: Settings, clock: Clock, plan: Plan, run_line: RunLine, tell: Tell) -> None:
    """Do what is left of a plan. Each step may be done again, so that a kill anywhere loses nothing.

    Args:
        tell: is told of each step before it is done.

    Raises:
        UpgradeError: where a run of the line failed.
        RootError, KeyringError, DeploymentError, TrailError, StoreError, NotIngested: as the step says.
    """
    left = list(plan.steps)
    while left:
        keep(settings.paths.root, left)
        tell(left[0])
        _do(left[0], settings, clock, run_line)
        left = left[1:]
    keep(settings.paths.root, left)


def _do(step: Step, settings: Settings, clock: Clock, run_line: RunLine) -> None:
    if step.kind == "identity":
        adopt_root(settings, BY, clock)
    elif step.kind == "trails":
        _anchor(settings)
    elif step.kind == "retire":
        _retire(settings, clock)
    elif step.kind == "publish":
        _publish(settings, clock)
    elif step.first is None or step.last is None or not run_line(step.first, step.last):
        raise UpgradeError("the run of the line failed: mend what it says, then returnml upgrade --yes goes on with it")


def _anchor(settings: Settings) -> None:
    seal = seal_of(settings.trail)
    for task in tasks():
        anchor(settings.paths.deployment_state(task), seal)
    anchor_erasures(settings.paths.erasures, seal)


def _retire(settings: Settings, clock: Clock) -> None:
    """The release that decided becomes ``previous``: it is kept, and named."""
    for task in tasks():
        found = {role: (made, here) for name, role, _, made, here in of_other_features(settings) if name == task}
        if not found:
            continue
        state = proven_state(settings, task)
        after = state.roles | dict.fromkeys(found, None)
        if "champion" in found:
            after["previous"] = state.champion
        made, here = next(iter(found.values()))
        why = f"made for features {made[:12]}, the code declares {here[:12]}"
        path, seal = settings.paths.deployment_state(task), seal_of(settings.trail)
        transition(path, state, after, action="retire", by=BY, why=why, clock=clock, seal=seal)


def _publish(settings: Settings, clock: Clock) -> None:
    with closing(open_warehouse(settings.paths.warehouse)) as con:
        feature_sets = live_feature_sets(settings.shop_attributes)
        publish_warehouse(con, feature_sets, clock.now_us() // DAY_US * DAY_US, open_backend(settings))
