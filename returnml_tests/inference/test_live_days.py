"""Going live, end to end: history landed, days of events over HTTP, nightly runs in Dagster, one of them missed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.windows import DAY_US
from returnml.store.generation_manifest import (
    read_manifest,
    read_pointer,
)
from returnml.warehouse.answers.inference_tables import LOG
from returnml_tests.inference.live_days import FIRST, GO_LIVE, LIVE_DAYS, NIGHT_US, LiveDays, day_of_live, start_us

pytestmark = pytest.mark.slow

MISSED = 1


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Three live days; the night after the second is missed. The shop is open while others sleep."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DAGSTER_HOME", "DAGSTER_STORAGE", "RETURNML_DATA"):
            patch.setenv(name, "")
        patch.delenv("RETURNML_DATA")
        shop = LiveDays(tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("world"))
        nights = [shop.night(FIRST, day_of_live(-1), after_us=0)]
        for n in range(LIVE_DAYS):
            noon = start_us(day_of_live(n)) + DAY_US // 2
            shop.live(noon)
            shop.dirt()
            shop.live(noon + DAY_US // 2 + NIGHT_US)
            if n != MISSED:
                nights.append(shop.night(day_of_live(n - (n == MISSED + 1)), day_of_live(n)))
        assert [night.failures for night in nights] == [[]] * LIVE_DAYS
        # Warnings: the release is made up and has no explainer; the other questions have no release.
        undecided = ["scores_customers: decided", "scores_returns: decided"]
        assert [night.failed_checks for night in nights] == [[*undecided, "scores_reasons: explained"]] * LIVE_DAYS
        yield shop


def test_every_vector_is_bit_identical_and_saw_live_events(shop):
    rates = shop.rows(f"SELECT min(rate), max(rate), sum(rows) / {len(ORDER_LINE.outputs)} FROM monitoring.consistency")
    [(logged, marks, behind)] = shop.rows(
        f"SELECT count(*), count(DISTINCT mark), count(*) FILTER (mark > 0 AND visible_until > derived_until) FROM {LOG}"
    )
    assert rates == [(1.0, 1.0, logged)]
    assert (logged > 100, marks > 50, behind > 100) == (True, True, True)
    assert shop.marks == sorted(shop.marks)


def test_every_scored_line_is_linked_to_its_answer(shop):
    lines = f"FROM core.orders WHERE known_day >= DATE '{GO_LIVE}' AND line_id NOT LIKE 'late-%'"
    [(lines, linked)] = shop.rows(f"SELECT count(*), (SELECT count(*) FROM serving.moments) {lines}")
    assert lines == linked > 100


def test_every_event_is_in_core_or_in_quarantine_once(shop):
    sent = list(shop.statuses.values())
    events = shop.rows("SELECT count(*), count(DISTINCT event_id), count(*) FILTER (is_accepted) FROM raw.events")
    assert events == [(len(sent), len(sent), sent.count("accepted"))]
    assert shop.duplicates == LIVE_DAYS
    refused = shop.rows(
        "SELECT rule, count(*) FROM (SELECT rule FROM quarantine.orders WHERE ledger_seq > 0 UNION ALL SELECT rule FROM "
        "quarantine.returns WHERE ledger_seq > 0 UNION ALL SELECT rule FROM quarantine.inspections) GROUP BY rule ORDER BY rule"
    )
    rules = ("quantity_not_positive", "unknown_order_line", "unknown_return")
    assert refused == [(rule, LIVE_DAYS) for rule in rules]
    assert sent.count("refused") == LIVE_DAYS * len(rules)
    named = "return_id LIKE 'orphan-%' AND is_orphan"
    orphans = shop.rows(f"SELECT known_day, customer_id IS NOT NULL, order_id FROM core.returns WHERE {named} ORDER BY 1")
    assert orphans == [(day_of_live(n), True, None) for n in range(LIVE_DAYS)]
    late = shop.rows("SELECT known_day, ordered_at::DATE FROM core.orders WHERE line_id LIKE 'late-%' ORDER BY 1")
    assert late == [(day_of_live(n), day_of_live(n - 1)) for n in range(LIVE_DAYS)]


def test_generations_grow_with_the_ledger_and_a_missed_night_only_postpones_that(shop):
    names = read_pointer(shop.paths.store).generations
    published = [read_manifest(shop.paths.store / name) for name in names]
    assert [m.cut_off_us for m in published] == [start_us(day_of_live(n)) for n in (3, 1, 0)]
    held = shop.rows("SELECT known_day, max(seq) FROM raw.events GROUP BY 1 ORDER BY 1")
    assert [day for day, _ in held] == [day_of_live(n) for n in range(LIVE_DAYS)]
    assert [m.ledger_seq for m in published] == [held[2][1], held[0][1], 0]


def test_a_closed_day_never_changes(shop):
    before = shop.rows("SELECT * FROM ops.partitions ORDER BY ALL")
    done = shop.night(GO_LIVE, GO_LIVE + timedelta(days=1))
    assert done.success
    assert shop.rows("SELECT * FROM ops.partitions ORDER BY ALL") == before
