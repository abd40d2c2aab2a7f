"""Amounts in other currencies are converted once, by the rate that was known before them, in batch as by events."""

from datetime import datetime, timedelta

import duckdb
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from returnml.contracts.columns import STREAMS
from returnml.exchange.rate_file import RatesError, exchange_of, read_rates, record_rates
from returnml.exchange.rates import Rate, Rates
from returnml.features.sets.order_line import ORDER_LINE
from returnml.instants import day_us
from returnml.ledger.conversion import bounded
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings, ShopSettings
from returnml.store.event_writer import EventWriter
from returnml.warehouse.ingest.amount_conversion import in_shops_currency
from returnml.warehouse.ingest.validate import build_core
from returnml_tests.warehouse.conftest import D1, D2, D3, order, returned
from returnml_tests.warehouse.ledger_shop import LedgerShop, came_back, placed

EUR = Settings(shop=ShopSettings(currency="EUR"))


def rate(day, text="0.9", currency="USD", known_at_us=None, is_inverse=False):
    known = day_us(day) + 86_400_000_000 if known_at_us is None else known_at_us
    return Rate(currency, "EUR", day, text, is_inverse, known, "rates.csv")


RATES = Rates([rate(D1 - timedelta(days=1)), rate(D1, "0.8"), rate(D1, "150", "JPY", is_inverse=True)], 7)
SENT = "sent_currency, sent_unit_price_cents, sent_list_price_cents, exchange_rate, exchange_day"


def build(shop, stream, day, rates=RATES):
    shop.ingest(stream, day)
    return build_core(shop.con, STREAMS[stream], day, day, "EUR", rates)


def test_landed_rows_are_converted_by_the_rate_of_their_moment(make_shop):
    shop = make_shop(EUR)
    later = datetime(2024, 5, 2, 10)
    shop.deliver("orders", D1, [order("l1"), order("l2", currency="USD", list_price_cents=2005)])
    shop.deliver("orders", D2, [order("l3", later, currency="USD"), order("l4", later, currency="JPY", unit_price_cents=1500)])
    assert build(shop, "orders", D1).quarantined == build(shop, "orders", D2).quarantined == 0
    rows = shop.rows(
        f"SELECT line_id, currency, unit_price_cents, line_value_cents, list_price_cents, {SENT} FROM core.orders ORDER BY 1"
    )
    before, day = D1 - timedelta(days=1), D1
    assert rows == [
        ("l1", "EUR", 1000, 2000, None, None, None, None, None, None),
        ("l2", "EUR", 900, 1800, 1804, "USD", 1000, 2005, "0.9", before),
        ("l3", "EUR", 800, 1600, None, "USD", 1000, None, "0.8", day),
        ("l4", "EUR", 1000, 2000, None, "JPY", 1500, None, "1/150", day),
    ]
    shop.deliver("returns", D3, [returned("r1", "l2", datetime(2024, 5, 3, 9), currency="USD")])
    build(shop, "returns", D3)
    assert shop.rows("SELECT currency, refund_cents, sent_currency, sent_refund_cents FROM core.returns") == [
        ("EUR", 800, "USD", 1000)
    ]


def test_what_has_no_rate_is_quarantined_and_says_which(make_shop):
    shop = make_shop(EUR)
    shop.deliver(
        "orders", D1, [order("l1"), order("l2", currency="JPY"), order("l3", currency="GBP"), order("l4", currency="GBP")]
    )
    assert build(shop, "orders", D1).by_rule == {"currency_differs": 2, "rate_missing": 1}
    [(message,)] = shop.rows("SELECT message FROM quarantine.orders WHERE rule = 'rate_missing'")
    assert message.endswith(
        "currency: rate_missing: no exchange rate of it was known then that is young enough: record it, got JPY"
    )


def test_quarantine_shows_amounts_as_they_were_delivered(make_shop):
    shop = make_shop(EUR)
    shop.deliver("orders", D1, [order("l1"), order("l2", currency="USD", unit_price_cents=(1 << 63) - 1)])
    assert build(shop, "orders", D1).by_rule == {"line_value_too_large": 1}
    [(payload,)] = shop.rows("SELECT payload FROM quarantine.orders")
    assert msgspec.json.decode(payload)["unit_price_cents"] == (1 << 63) - 1
    assert msgspec.json.decode(payload)["currency"] == "USD"


def test_a_rate_recorded_later_changes_no_day_that_is_built_again(make_shop):
    shop = make_shop(EUR)
    shop.deliver("orders", D1, [order("l1", currency="USD")])
    build(shop, "orders", D1)
    before = shop.content()
    corrected = Rates([*(held.rate for _, held in RATES.held()), rate(D1 - timedelta(days=1), "0.5", known_at_us=day_us(D3))], 7)
    build(shop, "orders", D1, corrected)
    assert shop.content() == before


@given(amount=st.integers(-(1 << 62), 1 << 62), text=st.decimals("0.0001", "20000", places=4), is_inverse=st.booleans())
def test_sql_converts_as_events_are(amount, text, is_inverse):
    held = Rates([rate(D1, str(text), known_at_us=0, is_inverse=is_inverse)], 366).at("USD", day_us(D1))
    [(found,)] = duckdb.execute(
        f"SELECT {in_shops_currency('x').removesuffix(' AS x')} FROM (SELECT ?::BIGINT AS x, ?::BIGINT AS numerator, "
        "?::BIGINT AS denominator, true AS is_converted)",
        [amount, held.numerator, held.denominator],
    ).fetchall()
    assert found == bounded(held.convert(amount))


GO_LIVE = datetime(2024, 5, 2)


@pytest.fixture
def live(make_shop, tmp_path):
    """Events from the second day on, with rates of the first."""
    settings = Settings(data=str(tmp_path / "data"), go_live=GO_LIVE.isoformat(), shop=ShopSettings(currency="EUR"))
    shop = make_shop(settings)
    shop.deliver("orders", D1, [order("h1", quantity=3)])
    shop.load("orders", D1)
    record_rates(settings.paths.exchange_rates, [rate(D1), rate(D1, "0.001", "VND")])
    found = LedgerShop(shop, tmp_path / "data", GO_LIVE)
    found.writer = EventWriter(found.backend, ORDER_LINE, found.clock, AS_DELIVERED, "EUR", exchange_of(settings))
    found.publish(GO_LIVE)
    return found


AT = datetime(2024, 5, 2, 9)


def test_events_are_converted_once_and_keep_what_was_sent(live):
    bought = placed("a", AT, [{"line_id": "a-1"}, {"line_id": "a-2", "list_price_cents": 2005}], currency="USD")
    answers = live.send(AT, bought, came_back("b", "a-1", AT, currency="USD"), placed("c", AT))
    assert [one.outcome.rule for one in answers] == [None] * 3
    live.ingest(D2)
    rows = live.shop.rows(
        f"SELECT line_id, currency, unit_price_cents, list_price_cents, {SENT} FROM core.orders WHERE known_day = ?", D2
    )
    assert rows == [
        ("a-1", "EUR", 900, None, "USD", 1000, None, "0.9", D1),
        ("a-2", "EUR", 900, 1804, "USD", 1000, 2005, "0.9", D1),
        ("c-1", "EUR", 1000, None, None, None, None, None, None),
    ]
    assert live.shop.rows("SELECT refund_cents, sent_refund_cents FROM core.returns") == [(900, 1000)]


def test_the_same_event_again_is_a_duplicate_and_another_amount_a_conflict(live):
    bought = placed("a", AT, currency="USD")
    live.send(AT, bought)
    record_rates(live.shop.settings.paths.exchange_rates, [rate(D1, "0.5", known_at_us=day_us(D2) + 1)])
    later = AT + timedelta(hours=1)
    [again] = live.send(later, bought)
    assert again.is_duplicate
    assert not again.is_conflict
    [other] = live.send(later, placed("a", AT, [{"line_id": "a-1", "unit_price_cents": 999}], currency="USD"))
    assert other.is_conflict
    live.send(later, placed("d", AT, currency="USD"))
    live.ingest(D2)
    rows = live.shop.rows("SELECT line_id, unit_price_cents FROM core.orders WHERE known_day = ?", D2)
    assert rows == [("a-1", 900), ("d-1", 500)], "a corrected rate holds from when it is known"


def test_online_sees_what_batch_will(live):
    live.send(AT, placed("a", AT, currency="USD"), came_back("b", "a-1", AT, currency="USD"))
    asked = {"customer_id": "c1", "article_id": "a1"}
    moment = datetime(2024, 5, 3, 1)
    _, before = live.seen(moment, **asked)
    live.ingest(D2)
    live.publish(datetime(2024, 5, 3))
    _, after = live.seen(moment, **asked)
    assert before == after
    assert before["article_orders_line_value_cents_sum_90d"] == [1800]


def test_an_event_without_a_rate_is_refused_and_keeps_its_verdict(live):
    at = datetime(2024, 5, 20)
    [old, unknown] = live.send(at, placed("a", at, currency="USD"), placed("b", at, currency="GBP"))
    assert (old.outcome.rule, old.outcome.field, unknown.outcome.rule) == ("rate_missing", "currency", "currency_differs")
    assert "at most 7 days old" in old.outcome.message
    live.ingest(at.date())
    assert live.shop.rows("SELECT rule, payload->>'currency' FROM quarantine.orders ORDER BY row_number, 1") == [
        ("currency_differs", "GBP"),
        ("rate_missing", "USD"),
    ]


def test_amounts_that_vanish_or_overflow_are_refused_by_the_rules_about_amounts(live):
    most = (1 << 63) - 1
    tiny = placed("a", AT, [{"line_id": "a-1", "unit_price_cents": 3}], currency="VND")
    huge = placed("b", AT, [{"line_id": "b-1", "unit_price_cents": most}], currency="USD")
    assert [one.outcome.rule for one in live.send(AT, tiny, huge)] == ["unit_price_not_positive", "line_value_too_large"]


def test_recorded_rates_that_are_damaged_or_of_another_currency_are_refused_by_name(tmp_path):
    file = tmp_path / "exchange" / "rates.jsonl"
    assert read_rates(file, "EUR") == []
    record_rates(file, [rate(D1)])
    record_rates(file, [rate(D2)])
    assert [one.day for one in read_rates(file, "EUR")] == [D1, D2]
    with pytest.raises(RatesError, match=r"line 1: a rate into EUR, but .* it is CHF"):
        read_rates(file, "CHF")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(RatesError, match="line 2"):
        read_rates(file, "EUR")
