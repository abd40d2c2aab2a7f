"""Which days the line may be run over, and how its failures are said."""

from datetime import date, timedelta

import dagster as dg
import pytest

from returnml.clock import VirtualClock
from returnml.commands.line import _check_range, _reason
from returnml.errors import Refusal
from returnml.pipeline.partitions import daily_partitions
from returnml.settings import Settings

FIRST = date(2025, 3, 1)
DAYS = daily_partitions(Settings(first_day=FIRST.isoformat()))
NOON_OF_DAY_3 = VirtualClock((FIRST - date(1970, 1, 1)).days * 86_400_000_000 + int(2.5 * 86_400_000_000))


def test_days_end_at_the_clocks_yesterday():
    _check_range(FIRST, FIRST + timedelta(days=1), DAYS, NOON_OF_DAY_3)


@pytest.mark.parametrize("last", [2, -1])
def test_a_day_that_has_not_ended_is_refused(last):
    with pytest.raises(Refusal, match=FIRST.isoformat()):
        _check_range(FIRST, FIRST + timedelta(days=last), DAYS, NOON_OF_DAY_3)


def test_a_failed_blocking_check_is_named():
    @dg.asset(check_specs=[dg.AssetCheckSpec("holds", asset="table", blocking=True)])
    def table() -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False, check_name="holds")])

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([table], instance=instance, raise_on_error=False)
    [failure] = [event for event in done.all_events if event.is_step_failure]
    assert _reason(failure).endswith("failed with ERROR severity: table: holds")
