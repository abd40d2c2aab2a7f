"""Events from a Kafka topic: a message's offset is committed only after its event is durable and applied.

A message that is delivered again (a kill between the two) is a duplicate by its event id: together that is exactly once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from returnml.errors import Unavailable
from returnml.ledger.decoding import Malformed, decode_event
from returnml.ledger.events import AnyEvent
from returnml.settings import KafkaSettings
from returnml.store.event_writer import (
    Applied,
    Outcome,
)
from returnml.store.inlet import EventInlet
from returnml.streaming.client import StreamingError, consumer, library, reason
from returnml.streaming.dead_letters import DeadLetter, DeadLetters
from returnml.streaming.outlasting import begin

POLL_SECONDS = 0.5
GATHER_SECONDS = 0.05
"""How long a batch waits for more messages after its first."""
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 15.0
COMMIT_SECONDS = 10.0
"""How long the end waits for the brokers' word about the last commits: brokers that left may never give it."""
CLOSE_SECONDS = 10.0
"""How long it then waits for their word about leaving the group."""
ASK_SECONDS = 10.0
"""How long it waits for their word about how far the group is."""


@dataclass
class Taken:
    """What has been done since the start.

    Attributes:
        messages: whose offsets may be committed.
        dead: messages that are no events, or have another one's id, and are kept as dead letters.
        conflicts: how many of these have the id of an event of other content.
        waits: how often the store (or the place of dead letters) was away.
        trouble: what is wrong now; None when nothing is.
    """

    messages: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    dead: int = 0
    conflicts: int = 0
    waits: int = 0
    trouble: str | None = None


class EventConsumer:
    """One member of a consumer group. For one thread.

    Args:
        inlet: where events go; is not closed here.
        changed: called after each batch and when there is trouble.
    """

    def __init__(
        self, settings: KafkaSettings, inlet: EventInlet, dead_letters: DeadLetters, changed: Callable[[Taken], None]
    ) -> None:
        self.taken = Taken()
        self._settings = settings
        self._inlet = inlet
        self._dead_letters = dead_letters
        self._changed = changed
        # None: not assigned anything yet, or any more; empty: given no partition.
        self._assigned: set[tuple[str, int]] | None = None
        # The ends that were met, and are not behind us yet.
        self._at_end: dict[tuple[str, int], int] = {}
        # What the brokers have not confirmed yet, and what of it they were asked for and have not answered.
        self._done: dict[tuple[str, int], int] = {}
        self._asked: dict[tuple[str, int], int] = {}
        self._held: list[Any] = []
        self._passed: dict[tuple[str, int], int] = {}
        self._is_waiting = False

    def run(self, should_stop: Callable[[], bool], *, until_end: bool = False) -> bool:
        """Take events in until told to stop, then commit the offsets of those that are durable.

        Args:
            until_end: also stop when the group has taken in every message that is there, whichever member has which partition.
                Partitions of a dead member come to this one, or to another that reads them to their end.

        Returns:
            Whether that end was reached; false also where it was not asked for.

        Raises:
            StreamingError: where Kafka cannot be used as the settings say.
        """
        self._client = consumer(self._settings, self.tell, self._committed)
        is_at_end = False
        try:
            self._client.subscribe([self._settings.topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose)
            while not should_stop() and not is_at_end:
                batch = self._gather()
                if batch and not self._take(batch, should_stop):
                    break
                self._pass_ends()
                self._commit()
                is_at_end = until_end and not batch and self._is_at_end()
            self._settle()
        finally:
            self._close()
        return is_at_end

    def tell(self, trouble: str | None) -> None:
        """Show what is wrong; None: nothing any more."""
        if trouble != self.taken.trouble:
            self.taken.trouble = trouble
            self._changed(self.taken)

    def _gather(self) -> list[Any]:
        found, self._held = self._held, []
        if not found:
            first = self._client.poll(POLL_SECONDS)
            if first is None:
                return []
            found = [first, *self._client.consume(self._settings.batch_size - 1, GATHER_SECONDS)]
        return [message for message in found if not self._is_notice(message)]

    def _is_notice(self, message: Any) -> bool:
        """Whether it is no message but the client's word about a partition or a broker."""
        error = message.error()
        place = (message.topic(), message.partition())
        if error is None:
            self._at_end.pop(place, None)
            return False
        if error.code() == library().KafkaError._PARTITION_EOF:
            self._at_end[place] = message.offset()
        elif error.fatal():
            raise StreamingError(error.str())
        else:
            self.tell(error.str())
        return True

    def _take(self, batch: Sequence[Any], should_stop: Callable[[], bool]) -> bool:
        """Make a batch durable, then commit it; False if told to stop before it was."""
        sent: list[tuple[Any, AnyEvent]] = []
        dead: list[DeadLetter] = []
        for message in batch:
            decoded = _decode(message)
            if isinstance(decoded, Malformed):
                dead.append(_letter(message, decoded.rule, decoded.field, decoded.message))
            else:
                sent.append((message, decoded))
        applied: list[Applied] = []
        if dead and not self._insist(lambda: self._dead_letters.keep(dead), should_stop):
            return False
        if sent and not self._insist(lambda: applied.extend(self._inlet.submit([event for _, event in sent])), should_stop):
            return False
        answered = [(message, answer) for (message, _), answer in zip(sent, applied, strict=True)]
        others = [_conflict(message, answer.outcome) for message, answer in answered if answer.is_conflict]
        if others and not self._insist(lambda: self._dead_letters.keep(others), should_stop):
            return False
        taken = self.taken
        taken.messages += len(batch)
        taken.dead += len(dead) + len(others)
        taken.conflicts += len(others)
        refused = sum(answer.outcome.rule is not None for answer in applied) - len(others)
        duplicates = sum(answer.is_duplicate and answer.outcome.rule is None for answer in applied)
        taken.refused += refused
        taken.duplicates += duplicates
        taken.accepted += len(applied) - len(others) - refused - duplicates
        for message in batch:
            self._done[message.topic(), message.partition()] = message.offset() + 1
        self._changed(taken)
        return True

    def _insist(self, action: Callable[[], None], should_stop: Callable[[], bool]) -> bool:
        """Try until it succeeds; False if told to stop before."""
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                action()
                break
            except Unavailable as error:
                self.taken.waits += 1
                self.tell(str(error))
            self._wait(wait, should_stop)
            if should_stop():
                return False
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)
        if wait > FIRST_WAIT_SECONDS:
            self._client.resume(self._client.assignment())
        self.tell(None)
        return True

    def _wait(self, seconds: float, should_stop: Callable[[], bool]) -> None:
        """Stay in the group, without fetching; a partition that is assigned meanwhile may still give a message."""
        until = time.monotonic() + seconds
        while not should_stop() and (rest := until - time.monotonic()) > 0:
            self._client.pause(self._client.assignment())
            message = self._client.poll(min(rest, POLL_SECONDS))
            if message is not None:
                self._held.append(message)

    def _commit(self) -> None:
        """Ask the brokers to commit our partitions' offsets. Does not wait: they call ``_committed``.

        One at a time: the client may try a failed one again after a later one has succeeded, and so go back.
        """
        kafka = library()
        asked = {place: offset for place, offset in self._done.items() if self._is_ours(place)}
        if self._asked or not asked:
            return
        try:
            offsets = [kafka.TopicPartition(*place, offset) for place, offset in asked.items()]
            self._client.commit(offsets=offsets, asynchronous=True)
            self._asked = asked
        except kafka.KafkaException as error:
            self.tell(f"offsets are not committed: {reason(error)}")

    def _committed(self, error: Any, partitions: Sequence[Any]) -> None:
        """What the brokers say to a commit; what fails is committed with the next batch, or delivered again."""
        self._asked = {}
        for partition in partitions:
            place, failure = (partition.topic, partition.partition), error or partition.error
            if failure is not None:
                self.tell(f"offsets are not committed: {failure.str()}")
            elif self._done.get(place) == partition.offset:
                del self._done[place]

    def _settle(self) -> None:
        """Wait for the brokers' word about the last commits, not for ever; what fails meanwhile is tried again."""
        until = time.monotonic() + COMMIT_SECONDS
        while any(map(self._is_ours, self._done)) and (rest := until - time.monotonic()) > 0:
            self._commit()
            self._client.pause(self._client.assignment())
            self._client.poll(min(rest, POLL_SECONDS))

    def _close(self) -> None:
        try:
            begin(self._client.close, "kafka-close").result(CLOSE_SECONDS)
        except TimeoutError:
            self.tell(f"the brokers did not let us go within {CLOSE_SECONDS:g} s: what is not committed is delivered again")

    def _is_ours(self, place: tuple[str, int]) -> bool:
        return self._assigned is not None and place in self._assigned

    def _assign(self, _: Any, partitions: Sequence[Any]) -> None:
        self._assigned = (self._assigned or set()) | {(p.topic, p.partition) for p in partitions}

    def _revoke(self, client: Any, partitions: Sequence[Any]) -> None:
        self._commit()
        self._lose(client, partitions)

    def _lose(self, _: Any, partitions: Sequence[Any]) -> None:
        lost = {(p.topic, p.partition) for p in partitions}
        self._assigned = ((self._assigned or set()) - lost) or None
        for place in lost:
            self._at_end.pop(place, None)
            self._done.pop(place, None)

    def _pass_ends(self) -> None:
        """An end lies beyond the last message where a transaction's marker follows it: commit that it was reached.

        Only once everything before it was taken: what is done of its partition ends there.
        """
        for place, end in self._at_end.items():
            if self._passed.get(place) != end:
                self._passed[place] = self._done[place] = end

    def _is_at_end(self) -> bool:
        """Whether we have been given our part and read it, and the group has read all others."""
        if self._assigned is None or self._held or not self._assigned <= self._at_end.keys():
            return False
        kafka = library()
        try:
            topic = self._client.list_topics(self._settings.topic, ASK_SECONDS).topics[self._settings.topic]
            places = [(self._settings.topic, partition) for partition in sorted(topic.partitions)]
            others = [kafka.TopicPartition(*place) for place in places if place not in self._assigned]
            committed = self._client.committed(others, ASK_SECONDS) if others else []
            behind = [place for place in committed if self._is_behind(place)]
        except kafka.KafkaException as error:
            self.tell(f"how far the group is cannot be told: {reason(error)}")
            return False
        if behind:
            named = ", ".join(str(place.partition) for place in behind)
            self.tell(f"waiting for the group: partitions {named} of {self._settings.topic} are not read to the end")
            self._is_waiting = True
            return False
        if self._is_waiting:
            self.tell(None)
        return bool(places)

    def _is_behind(self, place: Any) -> bool:
        """Whether the group has messages of a partition, which is another member's, before it."""
        low, high = self._client.get_watermark_offsets(place, ASK_SECONDS)
        return high > low and place.offset < high


def _decode(message: Any) -> AnyEvent | Malformed:
    value = message.value()
    return Malformed("malformed", "$", "a message without a value") if value is None else decode_event(value)


def _conflict(message: Any, outcome: Outcome) -> DeadLetter:
    return _letter(message, outcome.rule or "", outcome.field or "", outcome.message or "")


def _letter(message: Any, rule: str, field: str, why: str) -> DeadLetter:
    place = (message.topic(), message.partition(), message.offset())
    return DeadLetter(*place, rule, field, why, message.key(), message.value())
