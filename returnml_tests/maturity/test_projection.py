from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from returnml.maturity.delays import RunOff
from returnml.maturity.forecast import (
    HORIZON_DAYS,
    forecast,
    outlook,
    pieces_per_line,
)
from returnml.maturity.intervals import (
    MIN_TARGETS,
    WHOLE_SHOP,
    Cells,
    finite_sample_quantiles,
    intervals,
    join,
)
from returnml.maturity.nowcast import (
    nowcast,
    nowcast_cells,
    rate_intervals,
)
from returnml.maturity.projection import (
    MIN_COHORTS,
    MaturityError,
    has_returns,
    project,
)

FIRST = date(2025, 1, 6)


def steady(cohorts: int, share: list[float], lines: float = 1_000.0, rate: float = 0.2, groups: int = 1) -> RunOff:
    """Every cohort behaves alike, without noise."""
    delays = len(share)
    exposure = np.zeros((groups, cohorts, delays))
    exposure[:, :, 0] = lines
    return RunOff(
        FIRST,
        tuple(f"g{i}" for i in range(groups)),
        exposure,
        np.broadcast_to(lines * rate * np.array(share), exposure.shape).copy(),
    )


def noisy(seed: int, cohorts: int = 160, delays: int = 20, lines: int = 200, groups: int = 2, clustering: float = 0.0) -> RunOff:
    """Poisson returns; ``clustering`` is the squared coefficient of variation of the rate between cohorts."""
    rng = np.random.default_rng(seed)
    share = 0.8 ** np.arange(delays) / (0.8 ** np.arange(delays)).sum()
    level = rng.gamma(1 / clustering, clustering, (groups, cohorts, 1)) if clustering else np.ones((groups, cohorts, 1))
    exposure = np.zeros((groups, cohorts, delays))
    exposure[:, :, 0] = lines
    events = rng.poisson(lines * 0.25 * level * share).astype(float)
    return RunOff(FIRST, tuple(f"g{i}" for i in range(groups)), exposure, events)


def test_a_steady_shop_is_projected_exactly():
    table = steady(60, [0.5, 0.3, 0.2])
    now = project(table, 40)
    assert now.cohorts.tolist() == [37, 38, 39]
    assert now.ultimate[0] == pytest.approx([200, 200, 200])
    assert now.remaining[0] == pytest.approx([0, 40, 100])
    assert now.rate == pytest.approx([0.2])
    mean, variance = now.by_day(4)
    assert mean[0] == pytest.approx([60 + 40, 40, 0, 0])  # ages 0 and 1 owe delays 1 and 2 tomorrow, age 0 delay 2 after
    assert np.all(variance[0, :2] > mean[0, :2])


def test_a_cohort_that_is_back_whole_has_a_rate_of_one():
    """One line of a day, back at once, in a shop where much comes back late."""
    table = steady(60, [0.5, 0.3, 0.2])
    table.exposure[0, 39, 0], table.events[0, 39] = 1.0, [1.0, 0.0, 0.0]
    assert project(table, 40).remaining[0, -1] > 0
    last = next(one for one in nowcast(table, nowcast_cells(table, [40]), 40) if one.group is None and one.last == 39)
    assert (last.lines, last.returned, last.rate) == (1, 1, 1.0)


def test_nothing_after_the_cut_off_is_read():
    table = noisy(1)
    later = RunOff(FIRST, table.groups, table.exposure.copy(), table.events.copy())
    cut_off = 100
    beyond = np.arange(160)[:, None] + np.arange(20)[None] >= cut_off
    later.events[:, beyond] = 99.0
    later.exposure[:, beyond] = 99.0
    one, other = project(table, cut_off), project(later, cut_off)
    for name in ("ultimate", "remaining", "variance", "estimate_sd", "cumulative", "rate"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_the_level_follows_the_cohort_when_it_is_old_and_the_shop_when_it_is_young():
    table = steady(60, [0.02, 0.18, 0.8])
    young, older = (RunOff(FIRST, table.groups, table.exposure, table.events.copy()) for _ in range(2))
    young.events[0, 39, 0] *= 3
    older.events[0, 38, :2] *= 3
    base = project(table, 40).ultimate[0]
    lifted = project(young, 40).ultimate[0][2] / base[2], project(older, 40).ultimate[0][1] / base[1]
    assert 1 < lifted[0] < lifted[1] < 3


def test_a_doubled_rate_is_noticed_before_it_is_mature():
    table = steady(80, [0.3, 0.3, 0.2, 0.1, 0.1])
    table.events[0, 60:] *= 2
    assert project(table, 80).rate[0] == pytest.approx(0.4, rel=0.35)
    assert project(table, 80).ultimate[0][0] == pytest.approx(400, rel=0.1)


@pytest.mark.parametrize(("clustering", "low", "high"), [(0.0, 300.0, 1e6), (0.05, 12.0, 35.0)])
def test_the_variation_between_cohorts_is_estimated(clustering: float, low: float, high: float):
    shapes = [project(noisy(seed, clustering=clustering), 150).shape for seed in range(5)]
    assert low < np.median(shapes) <= high  # 1 / 0.05 = 20


def test_too_little_history_and_no_returns_are_refused():
    table = steady(60, [0.5, 0.3, 0.2])
    with pytest.raises(MaturityError, match=f"{3 + MIN_COHORTS} are needed"):
        project(table, 2 + MIN_COHORTS)
    empty = RunOff(FIRST, table.groups, table.exposure, np.zeros_like(table.events))
    assert not has_returns(empty, 40)
    with pytest.raises(MaturityError, match="no return with a known time"):
        project(empty, 40)


def test_intervals_are_the_quantiles_of_what_was_known_then():
    n = MIN_TARGETS
    past = cells(cut_off=np.arange(n), truth=10.0 + 2.0 * np.arange(n), known=np.arange(n) + 1)
    unknown = cells(cut_off=np.arange(n), truth=np.full(n, 1e9), known=np.full(n, n + 2))
    now = cells(cut_off=np.array([n]), truth=np.array([np.nan]), known=np.array([n + 30]))
    found, bounds = intervals(join([past, unknown, now]), n)
    low, high = finite_sample_quantiles(np.arange(float(n)), 0.9, n)
    assert len(found) == 1
    assert bounds.tolist() == [[10 + 2 * low, 10 + 2 * high]]
    fewer = past.where(past.cut_off > 0)
    assert np.isnan(intervals(join([fewer, now]), n)[1]).all()


def cells(cut_off: np.ndarray, truth: np.ndarray, known: np.ndarray) -> Cells:
    n = len(cut_off)
    zero, ten = np.zeros(n, int), np.full(n, 10.0)
    return Cells(cut_off, zero, zero, cut_off, cut_off, zero, np.zeros(n), ten, np.full(n, 2.0), known, truth)


@pytest.mark.parametrize("clustering", [0.0, 0.03])
def test_nominal_intervals_cover_the_matured_rate(clustering: float):
    inside, judged = 0, 0
    for seed in range(3):
        found = nowcast_cells(noisy(seed, clustering=clustering), range(70, 140))
        for cut_off in range(115, 140):
            now, bounds = rate_intervals(found, cut_off)
            truth = (now.base + now.truth) / now.exposure
            is_judged = np.isfinite(truth) & np.isfinite(bounds[:, 0])
            inside += int(((truth >= bounds[:, 0]) & (truth <= bounds[:, 1]))[is_judged].sum())
            judged += int(is_judged.sum())
    assert judged > 1_500
    assert 0.85 <= inside / judged <= 0.97


def test_a_nowcast_says_what_it_is_about():
    table = steady(60, [0.5, 0.3, 0.2], groups=2)
    found = nowcast(table, nowcast_cells(table, [40]), 40)
    shop = [row for row in found if row.group is None]
    assert [(row.first, row.last, row.lines, row.returned) for row in shop] == [(38, 38, 2_000, 320), (39, 39, 2_000, 200)]
    assert [row.rate for row in shop] == pytest.approx([0.2, 0.2])
    assert [(row.low, row.high) for row in shop] == [(None, None)] * 2  # one cut-off has no past
    weeks = [row for row in found if row.group is not None]
    assert [(row.group, row.first, row.last) for row in weeks] == [("g0", 37, 39), ("g1", 37, 39)]


def test_the_forecast_of_a_steady_shop_is_what_will_be_booked():
    lines = steady(60, [0.5, 0.3, 0.2], groups=2)
    pieces = RunOff(FIRST, lines.groups, lines.exposure, 1.5 * lines.events)
    found = outlook(lines, pieces, [40], 2)
    shop = [row for row in forecast(lines, found, 40) if row.group is None]
    assert [row.day for row in shop] == list(range(40, 40 + HORIZON_DAYS))
    assert [row.lines for row in shop[:3]] == pytest.approx([200, 80, 0])
    assert [row.pieces for row in shop[:3]] == pytest.approx([300, 120, 0])
    # with orders as before, every day books all of 400 lines
    assert [row.lines + row.new_lines for row in shop[:3]] == pytest.approx([400, 400, 400])
    truth = found.lines.where(found.lines.group == WHOLE_SHOP).truth
    assert truth[:3] == pytest.approx([200, 80, 0])


def test_one_huge_return_is_not_expected_again():
    lines = steady(60, [0.5, 0.3, 0.2])
    pieces = RunOff(FIRST, lines.groups, lines.exposure, lines.events.copy())
    pieces.events[0, 20, 0] += 74_215
    assert pieces_per_line(lines, pieces, 40) == pytest.approx([1.0])
