"""When drift retrains."""

import dagster as dg
import pytest

from returnml.definitions import ASSETS
from returnml.pipeline.sensors import (
    DRIFT_CHECK,
    decide,
    quality_checks,
)

HOUR = 3_600_000_000
QUALITY = dg.AssetCheckKey(dg.AssetKey("orders"), "contract_holds")
DRIFTED = {DRIFT_CHECK: (False, 500)}


@pytest.mark.parametrize(
    ("verdicts", "launched", "measured", "expected"),
    [
        ({}, None, None, "drift was never measured"),
        ({DRIFT_CHECK: (True, 500)}, None, None, "no drift"),
        (DRIFTED, 10, 500, "retraining was launched for this measurement already"),
        (DRIFTED | {QUALITY: (False, 400)}, None, None, "drift, but the data cannot be trusted: orders:contract_holds failed"),
        (DRIFTED, 90 * HOUR, 400, "drift, but retraining was launched lately: 14.0 hours of cool-down left"),
    ],
)
def test_reasons_not_to_retrain(verdicts, launched, measured, expected):
    skipped = decide(verdicts, launched, measured, 100 * HOUR, 24 * HOUR)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == expected


@pytest.mark.parametrize(("launched", "measured"), [(None, None), (76 * HOUR, 400)])
def test_new_drift_retrains_once_the_cool_down_is_over(launched, measured):
    assert decide(DRIFTED | {QUALITY: (True, 400)}, launched, measured, 100 * HOUR, 24 * HOUR) == "drift-500"


def test_data_quality_covers_contracts_but_not_drift_or_the_model():
    keys = quality_checks(ASSETS)
    assert QUALITY in keys
    assert DRIFT_CHECK not in keys
    assert {key.asset_key.to_user_string() for key in keys}.isdisjoint({"candidate_model", "evaluation", "release", "drift"})
