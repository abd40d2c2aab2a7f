"""Whether the online store is what generation and ledger say, byte by byte.

The live part is a function of both: it is worked out again, in memory, and compared. The log's turn is held only while
the live part is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

from returnml.features.feature_set import FeatureSet
from returnml.files import locked
from returnml.findings import Finding
from returnml.ledger.record_log import LogError, Record, last_record, read, segments
from returnml.store.backend import STATE, Backend, Mark, StoreUnavailable, read_mark, read_published
from returnml.store.event_writer import ledger_folder
from returnml.store.generation import Generation, open_generation
from returnml.store.generation_layout import StoreLayout
from returnml.store.generation_manifest import (
    WRITING_LOCK,
    DamagedGeneration,
    StoreError,
    generation_folder,
    read_manifest,
    read_pointer,
)
from returnml.store.keys import describe_key
from returnml.store.live_rebuilding import (
    in_turn,
    install_and_publish,
    noted_otherwise,
    replay_ledger,
)
from returnml.store.live_state import LiveState
from returnml.store.owner import ForeignStore
from returnml.store.proving.store_findings import (
    generation_damaged,
    ledger_damaged,
    ledger_lost_its_end,
    live_part_differs,
    loaded_generation_differs,
    nothing_published,
)

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
    """What was compared, and what is wrong; the store is right where nothing is.

    Attributes:
        generation: the published one, or where the pointer to it is lost the last that this host's folder lists.
        ledger: None where it is damaged.
    """

    generation: str
    live: LivePart
    ledger: LedgerStatus | None
    findings: list[Finding]

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words."""
        return [finding.what for finding in self.findings]

    def has(self, code: str) -> bool:
        """Whether a kind of finding is among them."""
        return any(finding.code == code for finding in self.findings)


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
    with in_turn(backend) as transaction:
        return LivePart(read_published(transaction), read_mark(transaction), dict(transaction.items(STATE)))


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
    """Check the published generation, what a server has of it, the ledger, and that the live part is what follows from them.

    Raises:
        StoreError: where nothing was published yet, or what is belongs to another data root or other declarations.
    """
    live = read_live(backend)
    name = live.generation or next(iter(read_pointer(backend.root).generations), None)
    if name is None:
        raise StoreError(f"{backend.root}: no generation is published: returnml store publish")
    findings: list[Finding] = []
    if live.generation is None:
        findings.append(nothing_published(f"{backend.root}: no generation is published, {name} is the last that was"))
    generation = _checked_generation(backend, name, feature_set, findings)
    if live.generation is not None and generation is not None:
        findings += map(loaded_generation_differs, compare_loaded(backend, generation, feature_set))
    ledger = _checked_ledger(backend, generation.manifest.ledger_seq if generation else 0, findings)
    if ledger is not None:
        last_seq = ledger.last.seq if ledger.last else 0
        if live.mark.seq > last_seq:
            findings.append(ledger_lost_its_end(live.mark.seq, last_seq))
        elif live.generation is not None:
            if generation is not None:
                findings += map(live_part_differs, _compare_live(backend, generation, live))
            findings += map(live_part_differs, noted_otherwise(backend, live.mark.seq))
    return Verified(name, live, ledger, findings)


def _checked_generation(backend: Backend, name: str, feature_set: FeatureSet, findings: list[Finding]) -> Generation | None:
    folder = generation_folder(backend.root, name)
    try:
        return open_generation(folder, feature_set)
    except DamagedGeneration as error:
        findings.append(generation_damaged(str(error), _cut_off_us(folder)))
        return None


def _cut_off_us(folder: Path) -> int | None:
    try:
        return read_manifest(folder).cut_off_us
    except DamagedGeneration:
        return None


def _checked_ledger(backend: Backend, after_seq: int, findings: list[Finding]) -> LedgerStatus | None:
    try:
        return read_ledger(backend, after_seq)
    except LogError as error:
        findings.append(ledger_damaged(str(error)))
        return None


def rebuild_store(backend: Backend, feature_set: FeatureSet) -> Generation:
    """Build the live part anew, verdicts too, from the published generation (or where that is lost the last listed one).

    Raises:
        StoreError: where there is no good generation, or the store cannot be written; or the ledger lost events that the
            live part has: they would be lost for good.
        LogError: where the ledger is damaged.
    """
    with in_turn(backend) as transaction:
        applied = read_mark(transaction).seq
    last = last_record(ledger_folder(backend.root))
    if applied > (last.seq if last else 0):
        lost = ledger_lost_its_end(applied, last.seq if last else 0)
        raise StoreError(f"{lost.what}: {lost.mend}")
    with locked(backend.root / WRITING_LOCK):
        name = backend.published() or next(iter(read_pointer(backend.root).generations), None)
        if name is None:
            raise StoreError(f"{backend.root}: no generation was published")
        generation = open_generation(generation_folder(backend.root, name), feature_set)
        install_and_publish(backend, generation, is_anew=True)
    return generation


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


def compare_loaded(
    backend: Backend, local: Generation, feature_set: FeatureSet, pace: Callable[[int], None] = lambda _: None
) -> Iterator[str]:
    """A generation that was loaded into a server: the first value that is not the folder's, in words.

    Args:
        pace: told how many bytes were compared.

    Raises:
        StoreUnavailable, ForeignStore: where it cannot be read.
    """
    try:
        published = backend.open(local.name, feature_set)
    except (StoreUnavailable, ForeignStore):
        raise
    except StoreError as error:
        yield str(error)
        return
    if isinstance(published, Generation):
        return
    if published.manifest != local.manifest:
        yield f"generation {local.name}: the server has another manifest of it than the folder"
        return
    items = local.items()
    while batch := list(islice(items, _AT_ONCE)):
        keys = [bytes(key) for key, _ in batch]
        loaded = published.read(keys)
        for (key, value), other in zip_longest(batch, loaded):
            if bytes(value) != other:
                named = _named(local.manifest.layout, bytes(key))
                yield f"generation {local.name}: {named}: the server has {_size(other)}, the folder {_size(bytes(value))}"
                return
        pace(sum(len(key) + len(value) for key, value in batch))


def _named(layout: StoreLayout, key: bytes) -> str:
    section, parts = describe_key(key)
    name = section if isinstance(section, str) else layout.groups[section].group.name
    return f"{name} {'/'.join(parts)}" if parts else f"{name} {key.hex()}"


def _size(value: bytes | None) -> str:
    return "nothing" if value is None else f"{len(value)} bytes"
