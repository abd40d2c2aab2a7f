"""Forgetting a customer: from the first step on nobody finds them, and whoever calls again finishes what a kill left.

    1  the keyring sets the key aside with who, why and when    from now on the customer is unknown, everywhere
    2  the ledger gets the erasure                              the live tiles are gone, and stay so when it is replayed
    3  the audit trail gets it
    4  the keyring destroys the key
    5  the keyring overwrites what it deleted

Before the first step the id answers as ever; an answer that was begun before it and is not given yet is made anew
(``privacy.customers.ask_as``). So no answer has a forgotten name and what the second step left of its values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from returnml.clock import Clock
from returnml.errors import Refusal
from returnml.ledger.events import OrderPlaced
from returnml.privacy.customers import NOT_THE_SHOPS
from returnml.privacy.keyring import Forgetting, Keyring, is_pseudonym
from returnml.release.erasures import Erasure, read_erasures, record_erasure
from returnml.release.seal import UNSIGNED, Seal
from returnml.store.event_writer import (
    EventWriter,
    events_about,
)

LinesOf = Callable[[str], Iterable[str]]
"""The order lines that lie under a pseudonym."""


class ForgettingRefused(Refusal):
    """What was asked for cannot be done as it was asked; nothing was done."""


class Forgetter:
    """Forgets customers.

    Args:
        audit: file of the audit trail.
        landed: the lines in landing files; those in the ledger are found here.
    """

    def __init__(
        self,
        keyring: Keyring,
        writer: EventWriter,
        ledger: Path,
        audit: Path,
        landed: LinesOf,
        clock: Clock,
        seal: Seal = UNSIGNED,
    ) -> None:
        self._keyring = keyring
        self._writer = writer
        self._ledger = ledger
        self._audit = audit
        self._landed = landed
        self._clock = clock
        self._seal = seal

    def forget(self, customer_id: str, by: str, why: str) -> bool:
        """Forget a customer, by the shop's id. False where the id has no key: never seen, or forgotten before, all of it.

        Raises:
            ForgettingRefused: where ``by`` or ``why`` say the id, which would keep it for good; or the id is a pseudonym.
            KeyringError, StoreError, LogError, TrailError, OSError: to be called again; what was done stays done.
        """
        if not customer_id:
            raise ForgettingRefused("an id without a character is nobody's")
        if customer_id in by or customer_id in why:
            raise ForgettingRefused("who asks and why stay in the audit trail: they must not say the customer's id")
        if is_pseudonym(customer_id):
            raise ForgettingRefused(NOT_THE_SHOPS)
        name = self._keyring.find(customer_id)
        is_known = self._keyring.is_being_forgotten(customer_id)
        if name is not None:
            is_known |= self._keyring.begin_forgetting(customer_id, self._lines(name), by, why, self._clock.now_us())
        self.finish()
        return is_known

    def finish(self) -> list[Erasure]:
        """Finish whatever forgetting was begun; returns what was finished.

        Raises:
            KeyringError, StoreError, LogError, TrailError, OSError: see :meth:`forget`.
        """
        done = [self._finish(begun) for begun in self._keyring.pending()]
        self._keyring.purge()
        return done

    def forget_again(self) -> int:
        """Destroy the keys that an old copy of the keyring brought back; returns how many.

        Raises:
            TrailError: where the audit trail, which says whose they are, cannot be trusted.
            KeyringError: to be called again.
        """
        removed = self._keyring.remove(erasure.pseudonym for erasure in read_erasures(self._audit, self._seal))
        self.finish()
        return removed

    def _finish(self, begun: Forgetting) -> Erasure:
        self._keyring.keep_lines(begun.pseudonym, self._lines(begun.pseudonym))
        seq = self._writer.erase(begun.pseudonym)
        erasure = Erasure(pseudonym=begun.pseudonym, at_us=begun.at_us, by=begun.by, why=begun.why, seq=seq)
        recorded = record_erasure(self._audit, erasure, self._seal)
        self._keyring.finish_forgetting(begun.pseudonym)
        return recorded

    def _lines(self, name: str) -> list[str]:
        sent = [e for e, _ in events_about(name, self._ledger) if isinstance(e, OrderPlaced) and e.customer_id == name]
        return [*self._landed(name), *(line.line_id for event in sent for line in event.lines)]
