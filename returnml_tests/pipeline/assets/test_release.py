"""A rejected candidate ends a run green: kept, not made champion, and what rests on a champion is skipped or goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import msgspec
import pytest

from returnml.clock import VirtualClock
from returnml.modeling.judging.gates.verdict import (
    GATES_FILE,
    Gate,
    Verdict,
)
from returnml.pipeline.assets.scores import build_scores_asset
from returnml.pipeline.assets.task_names import keys_of
from returnml.pipeline.assets.training import build_release
from returnml.pipeline.checks import (
    result,
    spec,
    stop_on_error,
)
from returnml.pipeline.partitions import daily_partitions, partitioned
from returnml.release.deployment import read_state
from returnml.release.folder import Release, write_release
from returnml.release.proof import prove_trail
from returnml.settings import GateSettings, Settings
from returnml.tasks.declared import return_risk
from returnml_tests.serving.shop import manifest


def write(root: Path, seed: int, *, compared_with: str | None = None, passed: bool = True) -> Release:
    """A candidate of made-up content."""
    gate = Gate(name="beats_baselines", passed=passed, value=1.0, limit=2.0, reason="as good as a coin")
    verdict = Verdict(compared_with=compared_with, policy_hash="p", gates=[gate], thresholds=[], segments=[])
    rejected = [] if passed else ["beats_baselines"]
    about = manifest(seed=seed, compared_with=compared_with, rejected=rejected)
    return write_release(root / "releases", about, {"model.onnx": b"m%d" % seed, GATES_FILE: msgspec.json.encode(verdict)})


def settle(root: Path, candidate: Release, *, require_approval: bool = False) -> dg.ExecuteInProcessResult:
    """The graph around the asset: what hands the candidate on, and what rests on the champion."""

    @dg.asset
    def evaluation() -> str:
        return candidate.version

    @dg.asset(deps=["release"])
    def scores() -> None: ...

    settings = Settings(data=str(root), gates=GateSettings(require_approval=require_approval))
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [evaluation, build_release(return_risk.TASK), scores],
            instance=instance,
            resources={"settings": settings, "clock": VirtualClock(1), "io_manager": dg.mem_io_manager},
        )


def scored(result: dg.ExecuteInProcessResult) -> bool:
    return any(event.asset_key == dg.AssetKey("scores") for event in result.get_asset_materialization_events())


def gates_hold(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    return next(c for c in result.get_asset_check_evaluations() if c.check_name == "gates_hold")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("release")


def test_from_a_rejected_first_candidate_to_a_refused_successor(root: Path):
    state = root / "deployment" / "return_risk" / "state.json"
    bad = write(root, 1, passed=False)
    result = settle(root, bad)
    assert result.success
    assert read_state(state).champion is None
    assert not scored(result)
    check = gates_hold(result)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "as good as a coin" in check.metadata["reason"].text
    assert bad.path.is_dir()

    good = write(root, 2)
    result = settle(root, good)
    assert scored(result)
    assert gates_hold(result).passed
    assert read_state(state).champion == good.version

    result = settle(root, write(root, 3, passed=False, compared_with=good.version))
    assert result.success
    assert scored(result), "the champion before goes on scoring"
    assert read_state(state).champion == good.version
    materialized = next(e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey("release"))
    assert materialized.materialization.metadata["verdict"].text == "rejected"


def test_what_is_skipped_gives_no_warnings(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """A task without enough history: nothing comes of what is above its release, nor of what rests on it."""

    @dg.asset(output_required=False)
    def evaluation() -> Iterator[dg.Output[str]]:
        yield from ()

    keys = keys_of(return_risk.TASK)

    @dg.asset(deps=[keys.scores])
    def drift() -> None: ...

    days = daily_partitions(Settings())
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [evaluation, build_release(return_risk.TASK), partitioned(build_scores_asset(return_risk.TASK), days), drift],
            instance=instance,
            partition_key="2025-01-01",
            resources={name: object() for name in ("settings", "clock", "warehouse")} | {"io_manager": dg.mem_io_manager},
        )
    assert result.success
    assert [e.step_key for e in result.all_events if e.is_step_skipped] == ["release", "scores_daily", "drift"]
    assert [r.message for r in caplog.records if "emitted no result" in r.message] == []


def test_a_check_of_severity_error_stops_what_comes_after():
    @dg.asset(check_specs=[spec("first", "held", "It holds.", blocking=False), spec("first", "warned", "", blocking=False)])
    def first() -> Iterator[dg.MaterializeResult]:
        results = [result("first", "held", False), result("first", "warned", False, warn=True)]
        yield dg.MaterializeResult(check_results=results)
        stop_on_error(results)

    @dg.asset(deps=[first])
    def second() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([first, second], instance=instance, raise_on_error=False)
    assert not done.success
    [failure] = [e for e in done.all_events if e.is_step_failure]
    assert "checks that do not hold: held" in failure.step_failure_data.error.message
    assert "warned" not in failure.step_failure_data.error.message
    assert [c.check_name for c in done.get_asset_check_evaluations() if not c.passed] == ["held", "warned"]
    assert [e.asset_key.to_user_string() for e in done.get_asset_materialization_events()] == ["first"]


def test_approval_is_waited_for(root: Path, tmp_path: Path):
    first = write(tmp_path, 1)
    result = settle(tmp_path, first, require_approval=True)
    assert result.success
    assert not scored(result)
    state = tmp_path / "deployment" / "return_risk" / "state.json"
    assert (read_state(state).champion, read_state(state).pending) == (None, first.version)
    assert [r.action for r in prove_trail(state).records] == ["make_pending"]
