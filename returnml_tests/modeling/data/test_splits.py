"""Nothing overlaps between the parts of a split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from returnml.features.windows import DAY_US
from returnml.modeling.data.splits import (
    SplitError,
    rolling_origin,
    temporal_split,
)

RULE = {"calibration_days": 5, "holdout_days": 4, "maturity_days": 6}


def test_a_handful_of_lines():
    # 40 days; hold-out from day 36, purged from day 30, calibration from day 25.
    day = np.array([0, 24, 25, 29, 30, 35, 36, 39])
    split = temporal_split(day * DAY_US + 5, **RULE)
    assert (split.train.tolist(), split.calibration.tolist(), split.holdout.tolist()) == ([0, 1], [2, 3], [6, 7])
    assert split.purged.tolist() == [4, 5]
    assert split.holdout_start_us == 36 * DAY_US


def test_a_short_history_keeps_half_of_its_days_for_training():
    assert temporal_split(np.arange(22) * DAY_US, **RULE).purged_days == 2
    assert temporal_split(np.arange(14) * DAY_US, **RULE).purged_days == 0


@given(st.lists(st.integers(0, 60 * DAY_US), min_size=5, max_size=80))
def test_every_label_was_known_when_the_holdout_began_if_history_allows(ordered_at: list[int]):
    at = np.array(ordered_at)
    try:
        split = temporal_split(at, **RULE)
    except SplitError:
        return
    assert at[split.train].max() < at[split.calibration].min()
    assert at[split.calibration].max() + split.purged_days * DAY_US < split.holdout_start_us <= at[split.holdout].min()
    if split.purged_days == RULE["maturity_days"]:
        assert at[split.calibration].max() + 6 * DAY_US < split.holdout_start_us
    parts = np.concatenate([split.train, split.calibration, split.purged, split.holdout])
    assert sorted(parts) == list(range(len(at)))


def test_too_short_a_history_is_refused():
    message = "3 days of mature rows leave 0 to train on, beside 4 of hold-out and 5 of calibration: 14 are needed"
    with pytest.raises(SplitError, match=message):
        temporal_split(np.array([0, 1, 2]) * DAY_US, **RULE)


def test_rolling_origins_train_on_what_was_mature():
    at = np.arange(10) * DAY_US
    first, second = rolling_origin(at, [5 * DAY_US, 7 * DAY_US], test_us=2 * DAY_US, gap_us=3 * DAY_US)
    assert (first.train.tolist(), first.test.tolist()) == ([0, 1], [5, 6])
    assert (second.train.tolist(), second.test.tolist()) == ([0, 1, 2, 3], [7, 8])
