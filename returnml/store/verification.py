"""Whether the online store is what generation and ledger say, byte by byte.

The live part is a function of both: it is worked out again, in memory, and compared. The log's turn is held only while
the live part is copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from returnml.features.declarations import FeatureSet
from returnml.ledger.log import LogWriter, Record, last_record, read, segments
from returnml.store.backend import STATE, Backend, Mark, Published, read_mark, read_published
from returnml.store.event_writer import ledger_folder
from returnml.store.generation import Generation, open_generation
from returnml.store.generation_layout import StoreLayout
from returnml.store.generation_manifest import (
    StoreError,
    generation_folder,
    read_pointer,
)
from returnml.store.keys import describe_key
from returnml.store.live_rebuilding import (
    noted_otherwise,
    publish_live,
    replay_ledger,
)
from returnml.store.live_state import LiveState

_AT_ONCE = 2_000


@dataclass(frozen=True)
class LivePart:
    """What is beside the published generation.

    Attributes:
        generation: its name; None where nothing is published.
        state: the values by key.
    """

    generation: str | None
    mark: Mark
    state: dict[bytes, bytes]

    @property
    def bytes(self) -> int:
        return sum(len(key) + len(value) for key, value in self.state.items())


@dataclass(frozen=True)
class LedgerStatus:
    """The log, every record of which was read.

    Attributes:
        last: None where there is none.
        after: events after a position.
    """

    segments: int
    bytes: int
    last: Record | None
    after: int


@dataclass(frozen=True)
class Verified:
    """What was compared, and what is wrong; the store is right where nothing is."""

    generation: str
    live: LivePart
    ledger: LedgerStatus
    problems: list[str]


class _Memory:
    """A transaction of nothing but memory."""

    is_remote = False

    def __init__(self) -> None:
        self.state: dict[bytes, bytes] = {}

    def get(self, table: int, key: bytes) -> bytes | None:
        return self.state.get(key)

    def put(self, table: int, key: bytes, value: bytes) -> None:
        self.state[key] = value

    def delete(self, table: int, key: bytes) -> None:
        self.state.pop(key, None)

    def clear(self, table: int) -> None:
        self.state.clear()

    def load(self, table: int, keys: Sequence[bytes]) -> None:
        """All is at hand."""

    def items(self, table: int) -> Iterator[tuple[bytes, bytes]]:
        yield from self.state.items()


def read_live(backend: Backend) -> LivePart:
    """A copy of the live part, of one moment between two writers.

    Raises:
        StoreError: where the store cannot be read.
    """
    log = LogWriter(ledger_folder(backend.root))
    try:
        with log.turn(), backend.writing() as transaction:
            return LivePart(read_published(transaction), read_mark(transaction), dict(transaction.items(STATE)))
    finally:
        log.close()


def read_ledger(backend: Backend, after_seq: int = 0) -> LedgerStatus:
    """Read every record.

    Raises:
        LogError: naming the file and the byte that is damaged.
    """
    folder = ledger_folder(backend.root)
    files = segments(folder)
    last, after = None, 0
    for record in read(folder):
        last = record
        after += record.seq > after_seq
    return LedgerStatus(len(files), sum(file.stat().st_size for file in files), last, after)


def verify_store(backend: Backend, feature_set: FeatureSet) -> Verified:
    """Check the published generation, the ledger, and that the live part is what follows from both.

    Raises:
        StoreError: where nothing is published, or the generation is torn or foreign.
        LogError: where the ledger is damaged.
    """
    live = read_live(backend)
    if live.generation is None:
        raise StoreError(f"{backend.root}: no generation is published")
    generation = open_generation(generation_folder(backend.root, live.generation), feature_set)
    published = backend.open(live.generation, feature_set)
    problems = [] if isinstance(published, Generation) else list(_compare_generations(generation, published))
    ledger = read_ledger(backend, generation.manifest.ledger_seq)
    last_seq = ledger.last.seq if ledger.last else 0
    if live.mark.seq > last_seq:
        problems.append(_ledger_lost_its_end(live.mark.seq, last_seq))
    else:
        problems += _compare_live(backend, generation, live)
        problems += noted_otherwise(backend, live.mark.seq)
    return Verified(live.generation, live, ledger, problems)


def rebuild_store(backend: Backend, feature_set: FeatureSet) -> Generation:
    """Build the live part anew, verdicts too, from the published generation (or where that is lost the last listed one).

    Raises:
        StoreError: where there is no good generation, or the store cannot be written; or the ledger lost events that the
            live part has: they would be lost for good.
        LogError: where the ledger is damaged.
    """
    with backend.writing() as transaction:
        applied = read_mark(transaction).seq
    last = last_record(ledger_folder(backend.root))
    if applied > (last.seq if last else 0):
        raise StoreError(_ledger_lost_its_end(applied, last.seq if last else 0))
    name = backend.published() or next(iter(read_pointer(backend.root).generations), None)
    if name is None:
        raise StoreError(f"{backend.root}: no generation was published")
    generation = open_generation(generation_folder(backend.root, name), feature_set)
    backend.install(generation.path)
    publish_live(backend, generation, is_anew=True)
    return generation


def _ledger_lost_its_end(applied: int, last_seq: int) -> str:
    return (
        f"the live part has event {applied}, the ledger ends with {last_seq}: bring its last segment back from a backup; what is "
        "lost for good is given up by removing the live part before rebuilding it"
    )


def _compare_live(backend: Backend, generation: Generation, live: LivePart) -> Iterator[str]:
    memory = _Memory()
    replay_ledger(LiveState(memory, generation), ledger_folder(backend.root), generation.manifest, live.mark.seq)
    layout = generation.manifest.layout
    differing = [key for key in sorted(memory.state.keys() | live.state.keys()) if memory.state.get(key) != live.state.get(key)]
    for key in differing[:1]:
        has = _size(live.state.get(key))
        wanted = _size(memory.state.get(key))
        yield (
            f"live part: {len(differing)} of {len(memory.state)} keys differ, the first is {_named(layout, key)}: "
            f"it has {has}, generation and ledger give {wanted}"
        )


def _compare_generations(local: Generation, published: Published) -> Iterator[str]:
    """A generation that was loaded into a server: each value against the folder's."""
    items = local.items()
    while batch := list(islice(items, _AT_ONCE)):
        keys = [bytes(key) for key, _ in batch]
        loaded = published.read(keys)
        for (key, value), other in zip_longest(batch, loaded):
            if bytes(value) != other:
                named = _named(local.manifest.layout, bytes(key))
                yield f"generation {local.name}: {named}: the server has {_size(other)}, the folder {_size(bytes(value))}"
                return


def _named(layout: StoreLayout, key: bytes) -> str:
    section, parts = describe_key(key)
    name = section if isinstance(section, str) else layout.groups[section].group.name
    return f"{name} {'/'.join(parts)}" if parts else f"{name} {key.hex()}"


def _size(value: bytes | None) -> str:
    return "nothing" if value is None else f"{len(value)} bytes"
