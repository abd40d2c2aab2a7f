"""Events taken from a Kafka topic per second by one consumer, beside the same events submitted without Kafka.

    python -m benchmarks.kafka_intake [--events 20000] [--batch 1000]

The brokers are librdkafka's mock cluster in this process (two cores for both), the events those of ``event_intake``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from benchmarks.event_intake import chosen, events, in_process, publish_empty, seconds
from returnml.clock import SystemClock
from returnml.features.sets.order_line import ORDER_LINE
from returnml.ledger.decoding import decode_event
from returnml.settings import KafkaSettings, Settings
from returnml.store.inlet import EventInlet
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.streaming.client import consumer
from returnml.streaming.consumer import EventConsumer
from returnml.streaming.dead_letters import DeadLetterLog
from returnml_tests.roots import rooted
from returnml_tests.streaming.mock_kafka import MockKafka, mock_kafka

TOPIC = "events"


def consumed(folder: Path, kafka: MockKafka, count: int, size: int) -> float:
    """Seconds from joining the group to the last commit."""
    settings = Settings(
        data=str(rooted(folder / "kafka", "pseudonymise")),
        kafka=KafkaSettings(bootstrap_servers=kafka.servers, topic=TOPIC, batch_size=size),
    )
    publish_empty(LmdbBackend(settings.paths.store))
    clock = SystemClock()
    inlet = EventInlet(settings, ORDER_LINE, clock)
    reader = EventConsumer(settings.kafka, inlet, DeadLetterLog(settings.paths.dead_letters, clock), lambda _: None)
    took = seconds(lambda: reader.run(lambda: reader.taken.messages >= count))
    assert reader.taken.accepted == count, reader.taken
    return took


def fetched(kafka: MockKafka, count: int, size: int) -> float:
    """Seconds for fetching and decoding alone, in another group."""
    client = consumer(KafkaSettings(bootstrap_servers=kafka.servers, group_id="fetch"), lambda _: None, lambda *_: None)

    def run() -> None:
        client.subscribe([TOPIC])
        left = count
        while left:
            values = [m.value() for m in client.consume(size, 1.0) if m.error() is None]
            left -= len([decode_event(value) for value in values])

    took = seconds(run)
    client.close()
    return took


def main() -> None:
    options = chosen(__doc__)
    sent = events(options.events, seed=1)
    with tempfile.TemporaryDirectory() as name, mock_kafka() as kafka:
        folder = Path(name)
        kafka.create_topic(TOPIC)
        kafka.send(TOPIC, [msgspec.json.encode(event) for event in sent])
        took = {
            "returnml consume": consumed(folder, kafka, options.events, options.batch),
            "EventWriter.submit, the same events decoded": in_process(
                LmdbBackend(folder / "lmdb" / "store"), sent, options.batch
            ),
            "fetching and decoding alone": fetched(kafka, options.events, options.batch),
        }
    print(f"{options.events:,} events, batches of {options.batch:,}")
    for what, second in took.items():
        print(f"  {what:<45}{options.events / second:>10,.0f} events/s")


if __name__ == "__main__":
    main()
