"""An order in another currency is scored as the same order in the shop's."""

from datetime import timedelta

import msgspec
import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.exchange.rate_file import record_rates
from returnml.exchange.rates import Rate
from returnml.instants import day_of
from returnml.settings import ShopSettings
from returnml_tests.serving import shop
from serving.app import create_app

TODAY = day_of(shop.now_us())


@pytest.fixture
def client(tmp_path):
    shop.publish(tmp_path)
    shop.deploy(tmp_path)
    settings = msgspec.structs.replace(shop.settings(tmp_path), shop=ShopSettings("EUR"))
    yesterday, long_ago = TODAY - timedelta(days=1), TODAY - timedelta(days=30)
    usd = Rate("USD", "EUR", yesterday, "2", True, shop.now_us() - 1, "rates.csv")
    gbp = Rate("GBP", "EUR", long_ago, "1.1", False, 0, "rates.csv")
    vnd = Rate("VND", "EUR", yesterday, "0.00001", False, 0, "rates.csv")
    record_rates(settings.paths.exchange_rates, [usd, gbp, vnd])
    with TestClient(create_app(settings, VirtualClock(shop.now_us())), raise_server_exceptions=False) as client:
        yield client


def order(currency, cents):
    asked = shop.order(currency=currency)
    return asked | {"lines": [line | {"unit_price_cents": cents} for line in asked["lines"]]}


def test_it_gets_the_answer_of_its_value_in_the_shops_currency(client):
    dollars, euros = (client.post("/v1/score", json=asked).json() for asked in (order("USD", 8000), order("EUR", 4000)))
    assert dollars["converted"] == {"currency": "USD", "rate": "1/2", "day": (TODAY - timedelta(days=1)).isoformat()}
    assert "converted" not in euros
    assert dollars["currency"] == euros["currency"] == "EUR"
    for line, other in zip(dollars["lines"], euros["lines"], strict=True):
        assert (line["probability"], line["expected_cost_cents"]) == (other["probability"], other["expected_cost_cents"])


@pytest.mark.parametrize(
    ("currency", "cents", "field", "detail"),
    [
        ("GBP", 4000, "currency", "rate_missing"),
        ("CHF", 4000, "currency", "currency_differs"),
        ("VND", 4, "lines[0].unit_price_cents", "0: in EUR quantity times price must lie above 0"),
    ],
)
def test_without_a_usable_rate_it_is_refused(client, currency, cents, field, detail):
    refused = client.post("/v1/score", json=order(currency, cents))
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    assert detail in refused.json()["detail"]


def test_damaged_rates_are_said_and_hurt_nobody_else(client, tmp_path):
    (tmp_path / "exchange" / "rates.jsonl").write_text("{}\n")
    assert client.post("/v1/score", json=order("EUR", 4000)).status_code == 200
    refused = client.post("/v1/score", json=order("USD", 4000))
    assert (refused.status_code, "line 1" in refused.json()["detail"]) == (503, True)
