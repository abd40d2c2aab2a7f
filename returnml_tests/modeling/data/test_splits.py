"""Nothing overlaps between the parts of a split."""

from dataclasses import replace

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

RULE = {"calibration_days": 6, "folds": 2, "holdout_days": 4, "maturity_days": 6}


def test_a_handful_of_lines():
    # 60 days, room for all: hold-out from day 56, its gap from day 50; folds test from days 44 and 47, a gap of 6 before each.
    day = np.array([0, 37, 38, 40, 41, 43, 44, 46, 47, 49, 50, 55, 56, 59])
    split = temporal_split(day * DAY_US + 5, **RULE)
    assert (split.purged_days, split.fold_gap_days) == (6, 6)
    assert [fold.origin_us // DAY_US for fold in split.origins] == [44, 47, 56]
    assert [day[fold.train].tolist() for fold in split.folds] == [[0, 37], [0, 37, 38, 40]]
    assert [day[fold.gap].tolist() for fold in split.folds] == [[38, 40, 41, 43], [41, 43, 44, 46]]
    assert [day[fold.test].tolist() for fold in split.folds] == [[44, 46], [47, 49]]
    assert day[split.calibration].tolist() == [44, 46, 47, 49]
    assert split.calibration_days == 6
    assert replace(split, folds=split.folds[1:]).calibration_days == 3
    assert replace(split, folds=()).calibration_days == 0
    assert day[split.train].tolist() == day[day < 50].tolist(), "what the folds tested is mature when the hold-out begins"
    assert (day[split.last.gap].tolist(), day[split.holdout].tolist()) == ([50, 55], [56, 59])
    assert day[split.tested].tolist() == [44, 46, 47, 49, 56, 59]


def test_a_short_history_keeps_a_third_of_its_days_for_the_first_training():
    for days, gaps in ((28, (5, 3)), (20, (3, 2)), (16, (2, 1))):
        split = temporal_split(np.arange(days) * DAY_US, **RULE)
        assert (split.purged_days, split.fold_gap_days) == gaps
        assert len(split.folds[0].train) >= days // 3


def test_a_gap_is_never_shorter_than_what_rows_share():
    split = temporal_split(np.arange(30) * DAY_US, **RULE, overlap_days=9)
    assert (split.purged_days, split.fold_gap_days) == (9, 2)


def test_days_without_rows_belong_to_no_fold():
    """Rows of every eighth day: the folds share the days with rows among them."""
    split = temporal_split(np.arange(0, 121, 8) * DAY_US, **{**RULE, "calibration_days": 40})
    assert [len(fold.test) for fold in split.folds] == [3, 2]
    split = temporal_split(np.arange(0, 121, 8) * DAY_US, **{**RULE, "calibration_days": 8})
    assert [len(fold.test) for fold in split.folds] == [1]


@given(st.lists(st.integers(0, 60 * DAY_US), min_size=5, max_size=80))
def test_every_label_was_known_when_its_origin_began_if_history_allows(ordered_at: list[int]):
    at = np.array(ordered_at)
    try:
        split = temporal_split(at, **RULE)
    except SplitError:
        return
    for fold, gap in zip(split.origins, [*[split.fold_gap_days] * len(split.folds), split.purged_days], strict=True):
        if len(fold.train):
            assert at[fold.train].max() + gap * DAY_US < fold.origin_us
        assert (at[fold.test] >= fold.origin_us).all()
        assert (at[fold.gap] < fold.origin_us).all()
        assert not set(fold.train) & {*fold.gap, *fold.test}
    assert sorted([*split.last.train, *split.last.gap, *split.last.test]) == list(range(len(at)))
    assert set(split.calibration) <= set(split.train), "the folds' labels were known when the hold-out began"


def test_too_short_a_history_is_refused():
    message = "3 days of mature rows are too few for 4 of hold-out and 2 folds before it: 16 are needed"
    with pytest.raises(SplitError, match=message):
        temporal_split(np.array([0, 1, 2]) * DAY_US, **RULE)
    temporal_split(np.arange(16) * DAY_US, **RULE)
    with pytest.raises(SplitError, match="no row from"):
        temporal_split(np.array([0, 59]) * DAY_US, **RULE)


def test_rolling_origins_train_on_what_was_mature():
    at = np.arange(10) * DAY_US
    first, second = rolling_origin(at, [5 * DAY_US, 7 * DAY_US], test_us=2 * DAY_US, gap_us=3 * DAY_US)
    assert (first.train.tolist(), first.test.tolist()) == ([0, 1], [5, 6])
    assert (second.train.tolist(), second.test.tolist()) == ([0, 1, 2, 3], [7, 8])
