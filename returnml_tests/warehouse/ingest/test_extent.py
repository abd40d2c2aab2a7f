"""Which days are known: those that were landed, and those with events that have ended."""

from datetime import date, datetime

import pytest
import typer

from returnml.clock import FileClockDriver
from returnml.commands.line import known_range
from returnml.instants import instant_us
from returnml.pipeline.partitions import (
    FIRST_DAY_WITHOUT_DATA,
    first_day,
)
from returnml.settings import Settings
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
    with pytest.raises(typer.Exit):
        known_range(settings_at(live, datetime(2024, 5, 2, 10)))


def test_a_damaged_ledger_leaves_the_code_location_up(live):
    [file] = live.paths.ledger.glob("*.log")
    content = bytearray(file.read_bytes())
    content[30] ^= 1
    file.write_bytes(content)
    settings = settings_at(live, datetime(2024, 5, 5))
    assert first_day(settings) == FIRST_DAY_WITHOUT_DATA
    with pytest.raises(typer.Exit):
        known_range(settings)
