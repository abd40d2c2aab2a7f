"""``kill -9`` during event intake over HTTP: every acknowledged event is in the ledger and applied exactly once.

    python -m returnml_tests.drills.kill_intake [--kills 50] [--seed 1] [--redis]

The real service runs with two workers. Clients post batches of orders and returns, some of them twice; at random moments
a worker or the whole service is killed and comes back. A batch that was not answered is sent again until it is, as a shop
would. At the end the ledger and every aggregate of every key, read online, are held against what was acknowledged
and against the naive oracle over the ledger.

With ``--redis`` the store is on a Redis server, which is killed, too, and comes back with what it saved last or with nothing.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from returnml.clock import SystemClock
from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.sets.shop import KEY_COLUMNS
from returnml.features.windows import DAY_US, HOUR_US
from returnml.settings import DataPaths
from returnml.store.backend import Backend
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.reading.online import OnlineFeatures
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.drills.service import UNANSWERED, Connection, Service
from returnml_tests.oracle import Event, Moment, group_aggregates
from returnml_tests.redis_server import RedisProcess
from returnml_tests.roots import rooted
from returnml_tests.store.live_shop import Ledger
from returnml_tests.waiting import eventually

CLIENTS = 4
MAX_BATCH = 20
PAUSE_SECONDS = 0.01
LOOK_LINES = 100


@dataclass
class Report:
    """What the drill did and found.

    Attributes:
        kills: of a worker, of the whole service and of Redis; and how often that forgot ``everything``.
        events: in the ledger.
        acknowledged: event ids that were answered 202.
        resent: batches that were not answered and sent again; of their events ``there_already`` were in the ledger.
        aggregates: that were compared with the oracle.
    """

    kills: Counter[str] = field(default_factory=Counter)
    events: int = 0
    acknowledged: int = 0
    resent: int = 0
    there_already: int = 0
    aggregates: int = 0


class Client(threading.Thread):
    """Posts batches until told to stop; ``acknowledged`` has the ``seq`` that each event id was answered with."""

    def __init__(self, number: int, port: int, seed: int) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self._number = number
        self._port = port
        self._chance = random.Random(f"{seed}-{number}")
        self._stopping = threading.Event()
        self._lines: list[str] = []
        self._made = 0
        self.acknowledged: dict[str, int] = {}
        self.resent = 0
        self.there_already = 0
        self.failure: BaseException | None = None

    def stop(self) -> None:
        """Ends once the batch on its way is acknowledged."""
        self._stopping.set()

    def run(self) -> None:
        try:
            connection = Connection(self._port, timeout_seconds=20)
            while not self._stopping.is_set():
                self._send(connection, self._batch())
                if self._chance.random() < 0.1:
                    connection.close()  # another worker may take the next one
                time.sleep(PAUSE_SECONDS)
            connection.close()
        except BaseException as error:
            self.failure = error
            raise

    def _send(self, connection: Connection, batch: list[dict]) -> None:
        sendings = 0
        while True:
            sendings += 1
            try:
                status, answer = connection.post("/v1/events", batch)
            except UNANSWERED:
                time.sleep(0.05)
                continue
            if status == 202:
                break
            assert status == 503, answer
            time.sleep(0.05)
        self.resent += sendings > 1
        new = {event["event_id"] for event in batch} - self.acknowledged.keys()
        for event, given in zip(batch, answer["events"], strict=True):
            name = event["event_id"]
            assert given["status"] in ("accepted", "duplicate"), (event, given)
            assert self.acknowledged.setdefault(name, given["seq"]) == given["seq"], (event, given)
            if name in new and given["status"] == "duplicate":
                assert sendings > 1, f"{name} was never sent before"
                self.there_already += 1
            new.discard(name)

    def _batch(self) -> list[dict]:
        batch = [self._event() for _ in range(self._chance.randint(1, MAX_BATCH))]
        if self._chance.random() < 0.2:
            batch.append(self._chance.choice(batch))
        return batch

    def _event(self) -> dict:
        chance, self._made = self._chance, self._made + 1
        name = f"{self._number}-{self._made}"
        head = {"event_id": name, "occurred_at": datetime.now(UTC).isoformat(), "currency": "EUR"}
        if self._lines and chance.random() < 0.25:
            line = self._lines.pop(chance.randrange(len(self._lines)))
            returned = {"return_id": name, "line_id": line, "quantity": 1, "refund_cents": chance.randrange(5000)}
            return head | {"type": "return"} | returned
        lines = [
            {
                "line_id": f"{name}-{i}",
                "article_id": f"a{chance.randrange(40)}",
                "quantity": chance.randint(1, 5),
                "unit_price_cents": chance.randint(1, 9000),
                "size": chance.choice("SML"),
                "product_group": f"g{chance.randrange(5)}",
                "brand": f"b{chance.randrange(5)}",
            }
            for i in range(chance.randint(1, 3))
        ]
        self._lines += [line["line_id"] for line in lines]
        order = {"type": "order", "order_id": name, "customer_id": f"c{chance.randrange(30)}", "lines": lines}
        return head | order | {"country": chance.choice(("DE", "AT")), "payment_method": chance.choice(("invoice", "card"))}


def drill(folder: Path, kills: int, seed: int, redis: RedisProcess | None = None) -> Report:
    """Run it in an empty folder.

    Raises:
        AssertionError: saying what is missing, there twice, or differs.
    """
    chance, report = random.Random(seed), Report()
    rooted(folder, "pseudonymise")
    backend = LmdbBackend(DataPaths(folder).store) if redis is None else redis.backend(DataPaths(folder).store)
    cut_off_us = SystemClock().now_us() // DAY_US * DAY_US
    publish_empty(backend, cut_off_us)
    service = Service(folder, environ={} if redis is None else redis.environ)
    service.start()
    victims = ["worker", "service"] if redis is None else ["worker", "service", "redis"]
    clients = [Client(n, service.port, seed) for n in range(CLIENTS)]
    try:
        for client in clients:
            client.start()
        for _ in range(kills):
            _await_traffic(clients)
            time.sleep(chance.random() * 0.5)
            victim, workers = chance.choice(victims), service.workers()
            if victim == "redis" and redis is not None:
                if chance.random() < 0.5:
                    redis.command("SAVE")
                    time.sleep(chance.random() * 0.2)
                redis.kill()
                redis.start()
                if backend.published() is None:
                    report.kills["everything"] += 1
                    publish_empty(backend, cut_off_us)
            elif victim == "worker" and workers:
                service.kill_worker(chance.choice(workers))
            else:
                victim = "service"
                service.kill()
                service.start()
            report.kills[victim] += 1
        _await_traffic(clients)
        for client in clients:
            client.stop()
        for client in clients:
            client.join()
            if client.failure is not None:
                raise client.failure
        # A last event: whoever takes it applies what a killed worker left in the log.
        last = Client(CLIENTS, service.port, seed)
        last._send(Connection(service.port), [last._event()])
        clients.append(last)
        service.stop()
    finally:
        service.kill()
    acknowledged = {name: seq for client in clients for name, seq in client.acknowledged.items()}
    report.acknowledged = len(acknowledged)
    report.resent = sum(client.resent for client in clients)
    report.there_already = sum(client.there_already for client in clients)
    report.events, report.aggregates = check(backend, acknowledged)
    return report


def publish_empty(backend: Backend, cut_off_us: int) -> None:
    """A generation without anything: all events are in the live part."""
    publish_generation(Ledger(backend.root / "none").warehouse(), [ORDER_LINE], cut_off_us, backend)


def check(backend: Backend, acknowledged: dict[str, int]) -> tuple[int, int]:
    """Returns how many events the ledger has and how many aggregates were compared."""
    ledger = Ledger(backend.root)
    seqs = {name: seq for name, (_, seq) in zip(ledger.ids, ledger.seqs, strict=True)}
    assert len(seqs) == len(ledger.ids), "an event is in the ledger twice"
    assert sorted(seqs.values()) == list(range(1, len(seqs) + 1)), "positions of the ledger are missing or there twice"
    missing = acknowledged.keys() - seqs.keys()
    assert not missing, f"acknowledged, but not in the ledger: {sorted(missing)[:5]}"
    moved = [name for name, seq in acknowledged.items() if seqs[name] != seq]
    assert not moved, f"acknowledged at another position: {moved[:5]}"
    return len(seqs), compare(backend, ledger)


def compare(backend: Backend, ledger: Ledger) -> int:
    """Every aggregate of every combination of keys that an event had, online against the oracle."""
    online = OnlineFeatures(ORDER_LINE, LiveStore(backend, ORDER_LINE))
    streams = ledger.streams()
    events = {s.name: streams.get(s.name, []) for group in ORDER_LINE.groups for s in group.streams}
    by_key = {group.name: _by_key(group.keys, events) for group in ORDER_LINE.groups}
    combinations = sorted({tuple(e.keys[k] or "" for k in KEY_COLUMNS) for own in events.values() for e in own})
    now_us = max(known_at_us for known_at_us, _ in ledger.seqs) + HOUR_US
    expected: dict[tuple, dict[str, int | None]] = {}
    for start in range(0, len(combinations), LOOK_LINES):
        lines = [
            dict(zip(KEY_COLUMNS, (part or None for part in parts), strict=True)) for parts in combinations[start:][:LOOK_LINES]
        ]
        vectors = online.vectors(_request(lines), now_us)
        raw, at = vectors.raw(), vectors.requested_at_us
        assert at == now_us
        for i, keys in enumerate(lines):
            for group in ORDER_LINE.groups:
                key = (group.name, *(keys[k] for k in group.keys))
                if key not in expected:
                    own = by_key[group.name].get(key[1:], {})
                    moment = Moment(i, at, at, at, keys)
                    expected[key] = group_aggregates(group, defaultdict(list, own), moment)
                for name, value in expected[key].items():
                    assert raw[name][i] == value, f"{name} of {key}: {raw[name][i]} online, {value} by the ledger"
    return sum(len(values) for values in expected.values())


def _by_key(names: Sequence[str], events: dict[str, list[Event]]) -> dict[tuple, dict[str, list[Event]]]:
    found: dict[tuple, dict[str, list[Event]]] = defaultdict(lambda: defaultdict(list))
    for stream, own in events.items():
        for event in own:
            found[tuple(event.keys[k] for k in names)][stream].append(event)
    return found


def _request(lines: Sequence[dict[str, str | None]]) -> dict[str, list]:
    """The columns of an order of these lines, all of it but the keys of no meaning."""
    columns = {name: [line[name] for line in lines] for name in KEY_COLUMNS}
    numbers = {name: [1] * len(lines) for name in ("quantity", "unit_price_cents", "list_price_cents", "line_value_cents")}
    texts = {name: ["x"] * len(lines) for name in ("order_id", "line_id", "voucher_code")}
    return columns | numbers | texts


def _await_traffic(clients: Sequence[Client]) -> None:
    """Returns once every client had an answer."""
    before = [len(client.acknowledged) for client in clients]

    def has_come() -> bool:
        for client in clients:
            if client.failure is not None:
                raise client.failure
        return all(len(client.acknowledged) > n for client, n in zip(clients, before, strict=True))

    eventually(has_come)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--redis", action="store_true")
    options = parser.parse_args()
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="returnml-drill-") as folder,
        closing(RedisProcess()) if options.redis else nullcontext() as redis,
    ):
        report = drill(Path(folder), options.kills, options.seed, redis)
    everything = report.kills.pop("everything", 0)
    of = ", ".join(f"{times} of a {victim}" for victim, times in sorted(report.kills.items()))
    print(
        f"{options.kills} kills ({of}) in {time.monotonic() - begun:.0f} s; Redis forgot everything {everything} times\n"
        f"{report.events:,} events in the ledger, each once; {report.acknowledged:,} acknowledged, none missing\n"
        f"{report.resent} batches sent again, {report.there_already:,} of their events were in the ledger already\n"
        f"{report.aggregates:,} aggregates read online, all equal to the oracle over the ledger"
    )


if __name__ == "__main__":
    main()
