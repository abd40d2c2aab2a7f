"""The shop's side of a replay: each order scored just before its event is pushed, by a virtual clock, until it is answered."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from returnml.clock import FileClockDriver
from returnml_tests.drills.online_retail_traffic import Sending
from returnml_tests.drills.service import UNANSWERED, Connection
from returnml_tests.waiting import PATIENCE_SECONDS

CLIENTS = 4
MOVE = 0.05
"""Share of requests after which a client goes to another worker."""
MOVE_TRIES = 8


@dataclass
class Answers:
    """What came back.

    Attributes:
        scores: by request id the probability of each line.
        events: how many events were answered how, by status, and of refused ones by rule.
        accepted: ``seq`` by event id.
        repeated: requests that were not answered and were sent again.
    """

    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    accepted: dict[str, int] = field(default_factory=dict)
    repeated: int = 0


class Shop:
    """Sends what happens, several at a time where it happens in one minute, and moves the clock.

    Use as a context manager.
    """

    def __init__(self, port: int, clock: FileClockDriver, seed: int) -> None:
        self._port = port
        self._clock = clock
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._of_thread = threading.local()
        self._pool = ThreadPoolExecutor(CLIENTS, thread_name_prefix="client")
        self.answers = Answers()

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def send(self, sendings: Sequence[Sending]) -> None:
        """Send all of these; returns once each is answered.

        Raises:
            AssertionError: for an answer that is none of those a shop may get.
        """
        for done in [self._pool.submit(self._one, sending) for sending in sendings]:
            done.result()

    def pass_time(self, until_us: int) -> None:
        """Let it be ``until_us`` at least, and later than it was."""
        with self._lock:
            self._clock.advance_to(max(until_us, self._clock.now_us() + 1))

    def _one(self, sending: Sending) -> None:
        self.pass_time(sending.at_us)
        if sending.order is not None:
            self._score(sending.order)
            self.pass_time(0)
        if sending.events:
            self._push(sending.events)

    def _score(self, order: dict) -> None:
        answer = self._ask("/v1/score", order, 200)
        with self._lock:
            self.answers.scores[answer["request_id"]] = {line["line_id"]: line["probability"] for line in answer["lines"]}

    def _push(self, events: Sequence[dict]) -> None:
        answer = self._ask("/v1/events", list(events), 202)
        with self._lock:
            for event, given in zip(events, answer["events"], strict=True):
                what = given["status"] if given["status"] != "refused" else f"refused: {given['rule']}"
                self.answers.events[what] += 1
                if given["status"] != "refused":
                    seq = self.answers.accepted.setdefault(event["event_id"], given["seq"])
                    assert seq == given["seq"], f"{event['event_id']} is at {given['seq']} and at {seq}"

    def _ask(self, path: str, body: object, expected: int) -> dict:
        """Ask until there is an answer: workers are killed meanwhile, and are busy."""
        connection = self._connection()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                status, answer = connection.post(path, body)
            except UNANSWERED:
                status, answer = 0, {}
            if status == expected:
                return answer
            assert status in (0, 503), f"{path} answered {status}: {answer}"
            assert time.monotonic() < deadline, f"{path} was not answered: {status} {answer}"
            with self._lock:
                self.answers.repeated += 1
            time.sleep(0.05)

    def _connection(self) -> Connection:
        """This thread's, now and then to another worker than before."""
        connection: Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = Connection(self._port)
            self._of_thread.worker = ""
        elif self._chance.random() < MOVE:
            self._move(connection)
        return connection

    def _move(self, connection: Connection) -> None:
        """Which worker takes a connection is a race that one of them may win for long: open it until another has."""
        for _ in range(MOVE_TRIES):
            connection.close()
            try:
                _, ready = connection.get("/health/ready")
            except UNANSWERED:
                return
            worker = ready.get("inference_log", {}).get("worker", "")
            if worker != self._of_thread.worker:
                self._of_thread.worker = worker
                return
