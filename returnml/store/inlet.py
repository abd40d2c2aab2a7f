"""The one way of decoded events into the store, whatever they came by (HTTP, Kafka)."""

from __future__ import annotations

from collections.abc import Sequence

from returnml.clock import Clock
from returnml.errors import Refusal, Unavailable
from returnml.exchange.rate_file import exchange_of
from returnml.features.feature_set import FeatureSet
from returnml.ledger.events import AnyEvent
from returnml.privacy.customers import open_customers
from returnml.settings import Settings
from returnml.store.backend_choice import open_backend
from returnml.store.event_writer import (
    Applied,
    EventWriter,
)
from returnml.store.generation_manifest import StoreError
from returnml.store.proving.scrub_report import read_report


class EventsUnavailable(Unavailable):
    """The store cannot take events in now, and acknowledged none of them. The message says why."""


class EventInlet:
    """Submits events to the store that the settings name. For one thread.

    The store is opened when it is first needed, and again after a failure: it may have been away, or replaced.
    """

    def __init__(self, settings: Settings, feature_set: FeatureSet, clock: Clock) -> None:
        self._settings = settings
        self._feature_set = feature_set
        self._clock = clock
        self._writer: EventWriter | None = None

    def submit(self, events: Sequence[AnyEvent]) -> list[Applied]:
        """After the return each event is durable, and applied once.

        Raises:
            EventsUnavailable: nothing of it is acknowledged; it may be submitted again.
        """
        try:
            self._refuse_damaged()
            if self._writer is None:
                customers = open_customers(self._settings)
                backend, currency = open_backend(self._settings), self._settings.shop.currency
                exchange, attributes = exchange_of(self._settings), self._settings.shop_attributes
                self._writer = EventWriter(backend, self._feature_set, self._clock, customers, currency, exchange, attributes)
            return self._writer.submit(events)
        except (Refusal, OSError) as error:
            self.close()
            raise EventsUnavailable(f"events cannot be taken in: {error}") from error

    def _refuse_damaged(self) -> None:
        """
        Raises:
            StoreError: where what the last pass over store and ledger found keeps events from being taken in.
        """
        scrubbed = read_report(self._settings.paths.store)
        damage = scrubbed.keeps_from_events if scrubbed else None
        if damage:
            raise StoreError(damage)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
