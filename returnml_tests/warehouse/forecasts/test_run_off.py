from __future__ import annotations

import json
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from returnml.contracts.columns import OPEN_FLAG
from returnml.settings import LabelSettings, Settings
from returnml.warehouse.forecasts.maturity_tables import build_return_rates
from returnml.warehouse.forecasts.run_off import (
    OTHER,
    largest_groups,
    read_run_offs,
)
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml_tests.warehouse.conftest import Shop
from returnml_tests.warehouse.ingest.test_outcomes import (
    back,
    fill,
    line,
)

LABEL = LabelSettings(window_days=5, grace_days=1)
FIRST = date(2024, 5, 1)
AT = datetime(2024, 5, 1, 10)


def day(number: float) -> datetime:
    return AT + timedelta(days=number)


def read(shop: Shop, groups: tuple[str, ...] = ("shoes",), last: date = date(2024, 5, 15)):
    return read_run_offs(shop.con, FIRST, last, groups, LABEL, longest_delay_days=8)


def entries(cube: np.ndarray) -> dict[tuple[int, int, int], float]:
    """What is not 0, by (group, cohort, delay)."""
    return {tuple(int(i) for i in at): float(cube[tuple(at)]) for at in np.argwhere(cube)}


def test_lines_and_returns_stand_at_cohort_and_delay(shop: Shop):
    fill(shop.con, "core.orders", [line("a", product_group="shoes"), line("b", day(1), product_group="hats"), line("c", day(1))])
    fill(
        shop.con,
        "core.returns",
        [back(day(2), 1, "a"), back(day(4), 2, "a"), back(day(8), 1, "b"), back(day(1.5), 3, "c")],
    )
    found = read(shop)
    assert found.label.groups == ("shoes", OTHER)
    assert entries(found.label.exposure) == {(0, 0, 0): 1.0, (1, 1, 0): 2.0}
    assert entries(found.label.events) == {(0, 0, 2): 1.0, (1, 1, 0): 1.0}  # first return only; b's is out of the window
    assert entries(found.volume.events) == {(0, 0, 2): 1.0, (0, 0, 4): 1.0, (1, 1, 0): 1.0, (1, 1, 7): 1.0}
    assert entries(found.pieces.events) == {(0, 0, 2): 1.0, (0, 0, 4): 2.0, (1, 1, 0): 3.0, (1, 1, 7): 1.0}


def test_a_cancelled_line_leaves_when_that_is_known(shop: Shop):
    fill(shop.con, "core.orders", [line("a", quantity=2), line("b", quantity=2)])
    fill(
        shop.con,
        "core.returns",
        [
            back(day(0.1), 2, "a", known_at=day(3), is_cancellation=True),
            back(day(0.1), 1, "b", is_cancellation=True),
            back(day(2), 1, "b"),
        ],
    )
    found = read(shop)
    assert entries(found.label.exposure) == {(1, 0, 0): 2.0, (1, 0, 3): -1.0}
    assert entries(found.label.events) == {(1, 0, 2): 1.0}


def test_what_becomes_known_late_is_late(shop: Shop):
    open_flag = line("c", extra=json.dumps({OPEN_FLAG: True}))
    fill(shop.con, "core.orders", [line("a", known_at=day(2)), line("b", is_returned=True), open_flag])
    fill(shop.con, "core.returns", [back(day(1), 1, "a", known_at=day(1)), back(day(4), 1, "a", known_at=day(7))])
    found = read(shop)
    assert entries(found.label.exposure) == {(1, 0, 2): 1.0}  # b and c have a flag and no times
    assert entries(found.label.events) == {(1, 0, 2): 1.0}  # not known before its line is
    assert entries(found.volume.events) == {(1, 0, 2): 1.0, (1, 0, 7): 1.0}


def test_nothing_after_the_last_day_is_read(shop: Shop):
    fill(shop.con, "core.orders", [line("a"), line("b", day(3))])
    fill(shop.con, "core.returns", [back(day(1), 1, "a"), back(day(2), 1, "a")])
    found = read(shop, last=date(2024, 5, 2))
    assert entries(found.label.exposure) == {(1, 0, 0): 1.0}
    assert entries(found.volume.events) == {(1, 0, 1): 1.0}


def test_the_largest_groups_are_told_apart(shop: Shop):
    groups = ["hats", "shoes", "shoes", "bags", "bags", None, None, None]
    fill(shop.con, "core.orders", [line(f"l{i}", product_group=group) for i, group in enumerate(groups)])
    assert largest_groups(shop.con, date(2024, 5, 2), 2) == ("bags", "shoes")
    assert largest_groups(shop.con, FIRST, 2) == ()


@pytest.mark.parametrize("seed", range(3))
def test_a_mature_cohort_is_what_its_outcomes_say(shop: Shop, seed: int):
    rng = np.random.default_rng(seed)
    lines = [line(f"l{i:03}", day(rng.uniform(0, 6)), quantity=int(rng.integers(1, 4))) for i in range(60)]
    returns = []
    for row in lines:
        for _ in range(rng.integers(0, 3)):
            at = row["ordered_at"] + timedelta(days=float(rng.uniform(0, 7)))
            late = timedelta(days=float(rng.choice([0.0, rng.uniform(0, 3)])))
            quantity, is_cancellation = int(rng.integers(1, 4)), bool(rng.random() < 0.3)
            returns.append(back(at, quantity, row["line_id"], known_at=at + late, is_cancellation=is_cancellation))
    fill(shop.con, "core.orders", lines)
    fill(shop.con, "core.returns", returns)
    build_outcomes(shop.con, FIRST, date(2024, 6, 1), LABEL)
    found = read(shop, last=date(2024, 5, 31)).label
    expected = shop.rows("SELECT ordered_at::DATE, count(*), sum(returned) FROM core.outcomes GROUP BY 1 ORDER BY 1")
    cohorts = [((d - FIRST).days, n, int(r)) for d, n, r in expected]
    assert len(cohorts) > 4
    assert [(i, found.exposure[:, i].sum(), found.events[:, i].sum()) for i, _, _ in cohorts] == cohorts


def test_lines_with_a_flag_alone_are_counted_and_not_forecast(shop: Shop):
    flags = [line("a", is_returned=True), line("b", is_returned=False), line("c", extra=json.dumps({OPEN_FLAG: True}))]
    fill(shop.con, "core.orders", [*flags, line("d")])
    report = build_return_rates(shop.con, FIRST, date(2024, 5, 15), Settings(label=LABEL))
    assert (report.without_times, report.partitions.rows) == (3, 0)
