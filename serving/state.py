"""What the service scores with, and its reload when the deployment state or the store's pointer changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from returnml.clock import Clock
from returnml.errors import Refusal
from returnml.features.sets.customer import CUSTOMER
from returnml.privacy.customers import IS_PSEUDONYM, CustomerIds, ask_as, open_customers
from returnml.privacy.keyring import MASTER_FILE
from returnml.settings import Settings
from returnml.store.generation_manifest import StoreError, generation_folder
from returnml.store.live import LiveStore
from returnml.store.lmdb.environments import DATABASE_FILE
from returnml.store.proving.scrub_report import REPORT_FILE, Scrubbed, read_report
from returnml.streaming.score_stream import ScoreStream
from serving.log.answer_message import score_message
from serving.log.inference_log import InferenceLog
from serving.scoring.customer_features import (
    CustomerReader,
    check_customer_id,
)
from serving.scoring.file_marks import (
    FileMark,
    file_mark,
)
from serving.scoring.reloading import Part, Reloading
from serving.scoring.roster import Seat
from serving.scoring.scorer import Scorer, feature_time
from serving.service_errors import InvalidInput, NotReady
from serving.wire import (
    Answering,
    CustomerFeatures,
    CustomerRisk,
    Order,
    Ready,
    Scores,
)

T = TypeVar("T")

A = TypeVar("A")
C = TypeVar("C", CustomerFeatures, CustomerRisk)

STORE, KEYRING, SCRUBBER = Part("store"), Part("keyring"), Part("scrubber")
"""What is loaded and looked after besides the seats, each for itself."""


class ServingState:
    """Keeps store, keyring and the seats of the roster fresh. The store follows what is published by itself.

    What cannot be loaded is refused and said by ``ready``; what was loaded before goes on scoring.
    """

    def __init__(
        self,
        settings: Settings,
        store: LiveStore,
        clock: Clock,
        seats: Sequence[Seat[Any]],
        log: InferenceLog,
        stream: ScoreStream | None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._log = log
        self._stream = stream
        self._live = store
        self._seats = seats
        self._reader = CustomerReader(self._live, CUSTOMER)
        self._customers: CustomerIds | None = None
        self._reloading = Reloading()
        self.stale_answers = 0
        self._scrubbed: Scrubbed | None = None

    async def score(self, seat: Seat[Scorer], order: Order) -> Scores:
        """Score an order as of now, log the answer, and send it on where there is a stream.

        Raises:
            NotReady: while there is no release, no generation, no store to read them from, or no keyring.
            InvalidInput: naming the field that breaks a rule.
            LogUnavailable: if the answer must be logged and cannot be.
        """
        begun = time.perf_counter_ns()
        scorer = seat.answerer
        if scorer is None:
            raise NotReady(self._reason(seat))
        now_us = self._clock.now_us()
        scored = self._ask(order.customer_id, lambda name: scorer.score(msgspec.structs.replace(order, customer_id=name), now_us))
        self.stale_answers += scored.scores.features.stale
        await self._log.record(scored, (time.perf_counter_ns() - begun) // 1_000)
        if self._stream is not None:
            self._stream.send(score_message(scored.scores))
        return scored.scores

    def customer(self, customer_id: str, is_raw: bool) -> CustomerFeatures:
        """What is known of a customer as of now; needs no release.

        Raises:
            NotReady: while there is no generation that serves the features, or no keyring.
            InvalidInput: for an id that no customer can have.
        """
        check_customer_id(customer_id)
        now_us = self._clock.now_us()
        found = self._ask(customer_id, lambda name: self._reader.features(name, is_raw, now_us))
        self.stale_answers += found.features.stale
        return msgspec.structs.replace(found, customer_id=customer_id)

    def ask_about(self, seat: Seat[A], customer_id: str, ask: Callable[[A, str, int], C]) -> C:
        """What a task's answerer says of a customer as of now.

        Args:
            ask: of the answerer, the name that the customer is known by, and microseconds since the epoch.

        Raises:
            NotReady: while none answers, there is no generation that serves the features, or no keyring.
            InvalidInput: for an id that no customer can have.
        """
        check_customer_id(customer_id)
        answerer = seat.answerer
        if answerer is None:
            raise NotReady(self._reason(seat))
        now_us = self._clock.now_us()
        found = self._ask(customer_id, lambda name: ask(answerer, name, now_us))
        self.stale_answers += found.features.stale
        return msgspec.structs.replace(found, customer_id=customer_id)

    def _ask(self, customer_id: str, ask: Callable[[str], T]) -> T:
        """Ask about a customer by the name that they are known by.

        Raises:
            NotReady: where that cannot be found out.
            InvalidInput: for an id that is none of the shop's.
        """
        if self._customers is None:
            raise NotReady(self._reasons())
        problem = self._customers.misnamed(customer_id)
        if problem is not None:
            raise InvalidInput("customer_id", f"{problem} [{IS_PSEUDONYM}]")
        self._refuse_damaged()
        try:
            return ask_as(self._customers, customer_id, ask)
        except InvalidInput:
            raise  # what the caller sent; the rest is what the operator's files and store hold
        except Refusal as error:
            raise NotReady(str(error)) from error

    def _refuse_damaged(self) -> None:
        damage = self._scrubbed.keeps_from_scoring if self._scrubbed else None
        if damage:
            raise NotReady(damage)

    def ready(self) -> Ready:
        """What it scores with.

        Raises:
            NotReady: if it cannot score, or cannot log what it must, saying why.
        """
        log = self._log.status()
        required = [seat for seat in self._seats if seat.is_required]
        if not required or any(seat.answerer is None for seat in required):
            raise NotReady(self._reasons())
        if log.failure and log.policy == "require":
            raise NotReady(log.failure)
        self._refuse_damaged()
        warnings = [*self._reloading.failures.values(), *([log.failure] if log.failure else [])]
        if self._scrubbed:
            warnings += [f"{finding.code}: {finding.what}; {finding.mend}" for finding in self._scrubbed.findings]
        if log.shed:
            warnings.append(f"inference log: {log.shed} answers were given and not logged")
        stream = self._stream.status() if self._stream else None
        if stream is not None:
            warnings += [stream.failure] if stream.failure else []
            warnings += [f"score stream: {stream.dropped} answers were not delivered"] if stream.dropped else []
        try:
            time_of = feature_time(self._live.read([])[0])
        except StoreError as error:
            raise NotReady(str(error)) from error
        if time_of.stale:
            warnings.append(f"features are stale: generation {time_of.generation} without what came after it")
        return Ready(
            release=required[0].release or "",
            feature_set_hash=required[0].task.feature_set.hash,
            features=time_of,
            warnings=warnings,
            inference_log=log,
            roster=[Answering(task=seat.task.name, role=seat.role, release=seat.release) for seat in self._seats],
            score_stream=stream,
        )

    @property
    def refused(self) -> dict[Part, int]:
        """By part, 1 where what is there now was refused, and what was loaded before goes on (or nothing does)."""
        parts = [part for seat in self._seats for part in seat.parts] + [STORE, KEYRING, SCRUBBER]
        return {part: int(part in self._reloading.failures) for part in parts}

    def refresh(self) -> None:
        """Load whatever is published and not loaded yet. A ``stat`` and one read of the store when nothing changed."""
        paths, refresh = self._settings.paths, self._reloading.refresh
        refresh(SCRUBBER, lambda: file_mark(paths.store / REPORT_FILE), self._read_scrubbed)
        has_changed = refresh(STORE, self._store_mark, self._live.refresh)
        has_changed |= refresh(KEYRING, lambda: file_mark(paths.keys / MASTER_FILE), self._open_keyring)
        loaded = [seat.refresh(self._reloading) for seat in self._seats]
        if self._live.has_generation and self._customers is not None:
            for seat, is_loaded in zip(self._seats, loaded, strict=True):
                if has_changed or is_loaded or seat.answerer is None:
                    seat.bind(self._live)

    def _store_mark(self) -> tuple[str | None, FileMark]:
        """A generation that was written again under its name is opened again: the one before may be damaged."""
        try:
            name = self._live.published()
            folder = None if name is None else generation_folder(self._settings.paths.store, name)
        except StoreError:
            return None, None  # loading it says why
        return name, None if folder is None else file_mark(folder / DATABASE_FILE)

    def _read_scrubbed(self) -> None:
        self._scrubbed = read_report(self._settings.paths.store)

    @property
    def store_findings(self) -> int:
        """How much was wrong with the store when it was last scrubbed."""
        return len(self._scrubbed.findings) if self._scrubbed else 0

    @property
    def store_scrubbed_at(self) -> float:
        """Seconds since the epoch; 0 before the first time."""
        return self._scrubbed.checked_at_us / 1e6 if self._scrubbed else 0.0

    def _open_keyring(self) -> None:
        self._customers = open_customers(self._settings)

    def _reason(self, seat: Seat[Any]) -> str:
        """Why it does not answer: what is wrong with it and with what all share, or that there is nothing yet."""
        shared = (STORE, KEYRING)
        found = [why for part, why in self._reloading.failures.items() if part in (*seat.parts, *shared)]
        return "; ".join(found) or seat.vacancy

    def _reasons(self) -> str:
        return "; ".join(self._reloading.failures.values()) or "the release and the store are not loaded yet"
