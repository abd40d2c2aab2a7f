"""Publishing with a ledger: what is in the generation is not in the live part, and nothing is published that is not held."""

from datetime import datetime

import pytest

from returnml.clock import VirtualClock
from returnml.features.sets.order_line import ORDER_LINE
from returnml.instants import instant_us
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings
from returnml.store.backend import STATE
from returnml.store.event_writer import EventWriter
from returnml.warehouse.ingest.cutoff import cut_off
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_events import ingest_events
from returnml.warehouse.publishing.publication import (
    NotIngested,
    ledger_position,
    publish_warehouse,
)
from returnml_tests.warehouse.conftest import D1, D2, D3, order
from returnml_tests.warehouse.ledger_shop import LedgerShop, came_back, placed

GO_LIVE = datetime(2024, 5, 2)
NEXT, AFTER = datetime(2024, 5, 3), datetime(2024, 5, 4)
KEYS = {"customer_id": "c1", "article_id": "a1", "size": "M", "brand": "acme", "country": "DE", "quantity": 1}


@pytest.fixture
def live(make_shop, tmp_path):
    shop = make_shop(Settings(go_live=GO_LIVE.isoformat()))
    shop.deliver("orders", D1, [order("h1", datetime(2024, 5, 1, 10), customer_id="c1")])
    shop.load("orders", D1)
    found = LedgerShop(shop, tmp_path / "data", GO_LIVE)
    found.publish(GO_LIVE)
    return found


def orders_seen(live, at):
    mark, raw = live.seen(at, **KEYS, unit_price_cents=1000, line_value_cents=1000)
    return mark, raw["customer_orders_count_365d"]


def live_keys(live):
    """How many values the live part holds beside its verdicts."""
    with live.backend._database().writing() as transaction:
        return transaction._transaction.stat(transaction._tables[STATE])["entries"]


def test_events_are_in_the_generation_or_in_the_live_part_never_in_both(live):
    live.send(datetime(2024, 5, 2, 9), placed("a", datetime(2024, 5, 2, 9), lines=2), placed("a", datetime(2024, 5, 2, 9)))
    live.send(datetime(2024, 5, 3, 9), placed("b", datetime(2024, 5, 3, 9)))
    assert orders_seen(live, AFTER) == (2, [4])
    before = live_keys(live)
    live.ingest(D2)
    generation = live.publish(NEXT)
    assert generation.manifest.ledger_seq == 1
    assert orders_seen(live, AFTER) == (2, [4])
    assert 0 < live_keys(live) < before
    live.ingest(D3)
    assert live.publish(AFTER).manifest.ledger_seq == 2
    assert orders_seen(live, AFTER) == (2, [4])
    assert live_keys(live) == 0


def test_a_missed_publication_costs_only_size(live):
    live.send(datetime(2024, 5, 2, 9), placed("a", datetime(2024, 5, 2, 9)))
    live.send(datetime(2024, 5, 3, 9), placed("b", datetime(2024, 5, 3, 9)), came_back("c", "a-1", datetime(2024, 5, 3, 9)))
    seen = orders_seen(live, AFTER)
    live.ingest(D2, D3)
    build_outcomes(live.con, D2, D2, live.shop.settings.label)
    assert live.publish(AFTER).manifest.ledger_seq == 3
    assert orders_seen(live, AFTER) == seen == (3, [3])


@pytest.mark.parametrize("ingested", ["nothing", "events", "orders", "first day"])
def test_what_is_not_ingested_is_not_published(live, ingested):
    live.send(datetime(2024, 5, 2, 9), placed("a", datetime(2024, 5, 2, 9)))
    live.send(datetime(2024, 5, 3, 9), came_back("b", "a-1", datetime(2024, 5, 3, 9)))
    published = live.backend.published()
    if ingested != "nothing":
        live.ingest(D2)
    if ingested in ("events", "orders"):
        ingest_events(live.con, live.paths.ledger, D3, D3)
    if ingested == "events":
        live.con.execute("DELETE FROM core.orders WHERE ledger_seq = 1")
    message = {
        "nothing": "raw.events lacks 2 events .* the first of them seq 1 of 2024-05-02",
        "events": "core.orders has 0 rows of event 1 of 2024-05-02, 1 are expected",
        "orders": "core.returns has 0 rows of event 2 of 2024-05-03, 1 are expected",
        "first day": "raw.events lacks 1 events .* the first of them seq 2 of 2024-05-03: returnml backfill --from 2024-05-03",
    }[ingested]
    with pytest.raises(NotIngested, match=message):
        live.publish(AFTER)
    assert live.backend.published() == published


def test_outcomes_must_reach_the_cut_off(live):
    with pytest.raises(NotIngested, match=r"core.outcomes is not built through 2024-05-02: returnml backfill --from 2024-05-02"):
        publish_warehouse(live.con, [ORDER_LINE], instant_us(NEXT), live.backend)


def test_another_ledger_is_refused(live, tmp_path):
    live.send(datetime(2024, 5, 2, 9), placed("a", datetime(2024, 5, 2, 9)))
    live.ingest(D2)
    other = LedgerShop(live.shop, tmp_path / "other", GO_LIVE)
    with pytest.raises(NotIngested, match=r"raw.events has event 1, which .*other/ledger does not have"):
        ledger_position(live.con, other.paths.ledger, instant_us(NEXT))


def test_an_event_stamped_before_the_cut_off_after_it_was_taken_stays_live(live):
    """The clock steps back between ingest and publication: the event is in no generation before the next one."""
    live.send(datetime(2024, 5, 3, 9), placed("a", datetime(2024, 5, 3, 9)))
    live.ingest(D3)
    live.con.execute("DELETE FROM ops.partitions WHERE table_name = 'core.outcomes' AND day > ?", [D1])
    build_outcomes(live.con, D3, D3, live.shop.settings.label)

    class Late:
        """The writer comes in while the generation is being written."""

        def __getattr__(self, name):
            return getattr(live.backend, name)

        def install(self, folder):
            writer = EventWriter(live.backend, ORDER_LINE, VirtualClock(instant_us(datetime(2024, 5, 2))), AS_DELIVERED)
            writer.submit([_event(placed("b", datetime(2024, 5, 2)))])

    generation = publish_warehouse(live.con, [ORDER_LINE], instant_us(AFTER), Late())
    assert (generation.manifest.ledger_seq, live.backend.published()) == (1, generation.name)
    assert orders_seen(live, AFTER) == (2, [3])
    with pytest.raises(NotIngested, match="seq 2 of 2024-05-03"):
        publish_warehouse(live.con, [ORDER_LINE], instant_us(AFTER), live.backend)
    live.ingest(D3)
    assert publish_warehouse(live.con, [ORDER_LINE], instant_us(AFTER), live.backend).manifest.ledger_seq == 2
    assert (orders_seen(live, AFTER), live_keys(live)) == ((2, [3]), 0)


def test_a_day_of_events_alone_moves_the_cut_off(live):
    assert cut_off(live.con) == GO_LIVE
    live.send(datetime(2024, 5, 2, 9), came_back("a", "none", datetime(2024, 5, 2, 9), customer_id="c1", article_id="a1"))
    live.ingest(D2)
    assert cut_off(live.con) == NEXT


def _event(body):
    import msgspec

    from returnml.ledger.events import AnyEvent

    return msgspec.convert(body, AnyEvent)
