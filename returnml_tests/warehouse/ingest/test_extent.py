"""Which days are known: those that were landed, and those with events that have ended."""

from datetime import date, datetime, timedelta

import msgspec
import pytest

from returnml.clock import FileClockDriver
from returnml.commands.line import known_range
from returnml.errors import Refusal
from returnml.instants import instant_us
from returnml.pipeline.partitions import (
    FIRST_DAY_WITHOUT_DATA,
    first_day,
)
from returnml.settings import Settings
from returnml.sources.plausible_days import plausible_days
from returnml.warehouse.ingest.extent import known_days
from returnml_tests.warehouse.conftest import D1, D2, D3, order
from returnml_tests.warehouse.ledger_shop import LedgerShop, placed


@pytest.fixture
def live(make_shop, tmp_path):
    """Published without any history; one event on the second of May and one on the fourth."""
    shop = make_shop(landing=tmp_path / "landing")
    found = LedgerShop(shop, tmp_path, datetime(2024, 5, 1))
    found.ingest(date(2024, 4, 30))
    found.publish(datetime(2024, 5, 1))
    for day in (2, 4):
        found.send(datetime(2024, 5, day, 9), placed(day, datetime(2024, 5, day, 9)))
    return found


def settings_at(live, now):
    FileClockDriver(live.paths.replay_clock, instant_us(now))
    return Settings(data=str(live.paths.root), replay_clock=str(live.paths.replay_clock))


def test_days_of_events_count_once_they_have_ended(live):
    assert known_days(live.paths) == (D2, date(2024, 5, 4))
    assert known_range(settings_at(live, datetime(2024, 5, 4, 23))) == (D2, D2)
    assert known_range(settings_at(live, datetime(2024, 5, 5))) == (D2, date(2024, 5, 4))


def test_landed_days_and_events_together(live):
    live.shop.deliver("orders", D1, [order()])
    live.shop.deliver("orders", D3, [order(at=datetime(2024, 5, 3, 1))])
    assert known_range(settings_at(live, datetime(2024, 5, 4))) == (D1, D3)
    assert first_day(settings_at(live, datetime(2024, 5, 4))) == D1


def test_events_of_today_alone_are_nothing_to_run(live):
    with pytest.raises(Refusal):
        known_range(settings_at(live, datetime(2024, 5, 2, 10)))


def test_a_damaged_ledger_leaves_the_code_location_up(live):
    [file] = live.paths.ledger.glob("*.log")
    content = bytearray(file.read_bytes())
    content[30] ^= 1
    file.write_bytes(content)
    settings = settings_at(live, datetime(2024, 5, 5))
    assert first_day(settings) == FIRST_DAY_WITHOUT_DATA
    with pytest.raises(Refusal):
        known_range(settings)


def test_days_that_a_mistyped_date_made_start_no_partitions(live, capsys):
    """One line in 1900 by a file from elsewhere, one in 2005 and one in 2042, beside a dozen days."""
    for n in range(12):
        live.shop.deliver("orders", D1 + timedelta(n), [order(at=datetime(2024, 5, 1, 1) + timedelta(n))])
    for year in (1900, 2005, 2042):
        live.shop.deliver("orders", date(year, 5, 1), [order(at=datetime(year, 5, 1, 1))])
    settings = settings_at(live, datetime(2024, 5, 20))
    assert known_range(settings) == (D1, date(2024, 5, 12))
    assert first_day(settings) == D1
    assert "3 landed days, far from the others or not here yet: 1900-05-01, 2005-05-01, 2042-05-01" in capsys.readouterr().err
    assert first_day(msgspec.structs.replace(settings, first_day="2005-05-01")) == date(2005, 5, 1)


def test_a_shop_that_paused_for_more_than_a_year_keeps_its_history():
    history = [date(2020, 1, 1) + timedelta(n) for n in range(100)]
    later = [date(2024, 1, 1) + timedelta(n) for n in range(10)]
    assert plausible_days(later + history) == (history + later, [])
    assert plausible_days(history + later[:9]) == (history, later[:9])
    assert plausible_days([]) == ([], [])
