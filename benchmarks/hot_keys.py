"""Hot keys beside cold ones: taking events in, and reading features.

    python -m benchmarks.hot_keys [--orders 20000] [--batch 500]

Hot: one customer with 100,000 order lines behind it places every order, and one article is in every order. Cold: 10,000
customers and 4,000 articles (``benchmarks.online_world``). A day of orders of two lines is taken in, so that the hot
keys have a tile for every five minutes; shown are processor times of the day's last quarter. Then a customer who pays
every order by another method: the list behind ``distinct`` grows to 100,000 values.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np

from benchmarks.online_world import ARTICLES, CUSTOMERS, CUT_OFF_US, request, warehouse
from returnml.clock import VirtualClock
from returnml.features.declarations import KeyGroup
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.sets.shop import (
    ORDERS,
    count,
    distinct,
)
from returnml.features.windows import DAY_US
from returnml.ledger.events import AnyEvent
from returnml.privacy.customers import AS_DELIVERED
from returnml.store.backend import Backend
from returnml.store.event_writer import EventWriter
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.reading.online import OnlineFeatures
from returnml.warehouse.publishing.generation_content import publish_generation

HOT_LINES = 100_000
HOT_CUSTOMER, HOT_ARTICLE = "market", "bag"
METHODS = FeatureSet(
    "methods",
    1,
    (),
    (),
    (KeyGroup("customer", ("customer_id",), (count(ORDERS, "24h"), distinct(ORDERS, "payment_method", "24h", "lifetime"))),),
    (),
)


def add_hot_history(con: duckdb.DuckDBPyConnection) -> None:
    """100,000 lines of the hot customer and article, half of them in the last day."""
    known_at = f"make_timestamp(({CUT_OFF_US} - 1 - pow(n / {HOT_LINES}::DOUBLE, 8) * 365 * {DAY_US}::DOUBLE)::BIGINT)"
    con.execute(
        f"INSERT INTO core.orders BY NAME SELECT '{HOT_CUSTOMER}' AS customer_id, '{HOT_ARTICLE}' AS article_id, 'M' AS size, "
        "'g0' AS product_group, 'b0' AS brand, 'DE' AS country, 'card' AS payment_method, 1 AS quantity, "
        f"100 AS line_value_cents, 'hot' || n AS line_id, 1000000 + n AS seq, {known_at} AS known_at, "
        "known_at::DATE AS known_day, known_at AS ordered_at "
        f"FROM range({HOT_LINES}) t(n)"
    )


def orders(n: int, is_hot: bool) -> list[AnyEvent]:
    """Orders of two lines, over one day."""
    chance = random.Random(3)
    made = []
    for i in range(n):
        articles = [f"a{chance.randrange(ARTICLES)}", HOT_ARTICLE if is_hot else f"a{chance.randrange(ARTICLES)}"]
        lines = [
            {"line_id": f"{i}-{k}", "article_id": a, "size": "M", "product_group": "g1", "brand": "b1", "quantity": 1}
            | {"unit_price_cents": 900}
            for k, a in enumerate(articles)
        ]
        customer = HOT_CUSTOMER if is_hot else f"c{chance.randrange(CUSTOMERS)}"
        made.append(_order(i, customer, "card", lines))
    return msgspec.convert(made, list[AnyEvent])


def _order(i: int, customer: str, method: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    head = {"type": "order", "event_id": f"e{i}", "order_id": f"o{i}", "currency": "EUR"}
    at = datetime.fromtimestamp(CUT_OFF_US // 1_000_000, UTC)
    return head | {"occurred_at": at, "customer_id": customer, "country": "DE", "payment_method": method, "lines": lines}


def take_in(backend: Backend, feature_set: FeatureSet, events: Sequence[AnyEvent], batch: int) -> Iterator[float]:
    """Processor seconds of each batch, over a day of the clock."""
    clock = VirtualClock(CUT_OFF_US)
    with closing(EventWriter(backend, feature_set, clock, AS_DELIVERED)) as writer:
        for i in range(0, len(events), batch):
            clock.advance_to(CUT_OFF_US + DAY_US * i // len(events))
            begun = time.process_time()
            answers = writer.submit(events[i : i + batch])
            yield time.process_time() - begun
            refused = [a.outcome for a in answers if a.outcome.rule]
            if refused:
                raise SystemExit(f"{len(refused)} events were refused: {refused[0]}")


def read(backend: Backend, feature_set: FeatureSet, asked: list[dict[str, list[Any]]]) -> float:
    """Median processor microseconds of a read."""
    online = OnlineFeatures(feature_set, LiveStore(backend, feature_set))
    took = []
    for order in asked * 2:
        begun = time.process_time_ns()
        online.vectors(order, CUT_OFF_US + DAY_US)
        took.append(time.process_time_ns() - begun)
    return float(np.median(took[len(asked) :])) / 1000


def asked(is_hot: bool) -> list[dict[str, list[Any]]]:
    """Orders of five lines; the hot ones of the hot customer, the hot article among them."""
    chance = random.Random(4)
    found = [request(chance) for _ in range(500)]
    for order in found if is_hot else ():
        order["customer_id"] = [HOT_CUSTOMER] * 5
        order["country"], order["payment_method"] = ["DE"] * 5, ["card"] * 5
        order["article_id"][0] = HOT_ARTICLE
    return found


def compare(folder: Path, feature_set: FeatureSet, orders_in_a_day: int, batch: int) -> None:
    con = warehouse()
    add_hot_history(con)
    print(f"{'':<44}{'cold':>10}{'hot':>10}")
    found = []
    for is_hot in (False, True):
        backend = LmdbBackend(folder / str(is_hot) / "store")
        publish_generation(con, [feature_set], CUT_OFF_US, backend)
        alone = read(backend, feature_set, asked(is_hot))
        spent = list(take_in(backend, feature_set, orders(orders_in_a_day, is_hot), batch))
        last = spent[-len(spent) // 4 :]
        found.append((alone, sum(last) / len(last) / batch * 1e6, read(backend, feature_set, asked(is_hot))))
    names = ("read, generation alone", "take in, an order of two lines", "read, generation and a day of live events")
    for name, cold, hot in zip(names, *found, strict=True):
        print(f"{name + ', us':<44}{cold:>10,.0f}{hot:>10,.0f}")


def distinct_values(folder: Path, batch: int) -> None:
    """Payment methods without end, of one customer."""
    backend = LmdbBackend(folder / "methods" / "store")
    publish_generation(warehouse(), [METHODS], CUT_OFF_US, backend)
    line = {"article_id": "a1", "size": "M", "quantity": 1, "unit_price_cents": 900}
    made = [_order(i, HOT_CUSTOMER, f"m{i}", [line | {"line_id": f"method-{i}"}]) for i in range(HOT_LINES)]
    spent = list(take_in(backend, METHODS, msgspec.convert(made, list[AnyEvent]), batch))
    order = {"customer_id": [HOT_CUSTOMER]}
    first, last = np.median(spent[1:11]) * 1000, np.median(spent[-10:]) * 1000
    print(f"{HOT_LINES:,} different values: a batch of {batch} takes {last:.1f} ms ({first:.1f} ms with few); read "
          f"{read(backend, METHODS, [order] * 200):,.0f} us")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), ORDER_LINE, options.orders, options.batch)
        distinct_values(Path(name), options.batch)


if __name__ == "__main__":
    main()
