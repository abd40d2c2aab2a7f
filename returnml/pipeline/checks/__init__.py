"""What must hold of each asset, evaluated by the step that writes it and blocking what comes after.

Here: functions from a report or a table to check results. Not here: decorators, or the rules themselves, which belong
to the contracts and the pure packages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

DATA_QUALITY = "data_quality"
"""Metadata kind of the checks whose failure keeps the drift sensor from retraining."""


def spec(
    asset: str | dg.AssetKey, name: str, description: str, *, blocking: bool = True, kind: str = DATA_QUALITY
) -> dg.AssetCheckSpec:
    """Declare a check of an asset."""
    return dg.AssetCheckSpec(name, asset=asset, description=description, blocking=blocking, metadata={"kind": kind})


def result(
    asset: str | dg.AssetKey, name: str, passed: bool, metadata: Mapping[str, Any] | None = None, *, warn: bool = False
) -> dg.AssetCheckResult:
    """The outcome of a declared check; ``warn`` for those that do not block."""
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        passed=bool(passed), asset_key=asset, check_name=name, severity=severity, metadata=dict(metadata or {})
    )


def stop_on_error(results: Sequence[dg.AssetCheckResult]) -> None:
    """Fail the step where a check of severity ERROR does not hold: after its results, in an asset whose step may be skipped.

    A blocking spec comes to the same, but of a step that is skipped Dagster warns that its blocking checks gave no result.

    Raises:
        dagster.Failure: naming the checks; a retry would not help.
    """
    broken = [r.check_name for r in results if not r.passed and r.severity is dg.AssetCheckSeverity.ERROR and r.check_name]
    if broken:
        raise dg.Failure(f"checks that do not hold: {', '.join(broken)}", allow_retries=False)


def missing_results(specs: Sequence[dg.AssetCheckSpec], name: str, why: str) -> list[dg.AssetCheckResult]:
    """Results for an asset that wrote nothing: its check ``name`` says why, and all its other checks pass."""
    return [result(s.asset_key, s.name, s.name != name, {"message": why}, warn=True) for s in specs]
