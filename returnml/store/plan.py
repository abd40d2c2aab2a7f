"""How a feature set's aggregates are read: keys, windows and words, worked out once.

All rows that a request needs (for each key and window one) are joined into one array of words; each aggregate of
each line is then one index into it. In front lie a block of missing values, for lines without the key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from returnml.features.declarations import Aggregate, FeatureSet, KeyGroup, Operation
from returnml.features.live_tiles import Combination
from returnml.features.tiles import NULL, WORD
from returnml.features.value_lists import count_new
from returnml.features.windows import Window
from returnml.store.backend import Consume, Snapshot, Values
from returnml.store.keys import LISTS, encode_part, join_key
from returnml.store.manifest import GenerationManifest, require_served

Joined = tuple[Snapshot, bytes, bytes | None]
Read = Callable[[Sequence[bytes], Consume[Joined]], Joined]
"""``LiveStore.read``, or ``backend.read_generation`` of one."""


class OtherPromise(Exception):
    """The generation holds other groups than the plan was made for; ``manifest`` is its own."""

    def __init__(self, manifest: GenerationManifest) -> None:
        super().__init__(manifest.name)
        self.manifest = manifest


class ReadPlan:
    """The precompiled read of one feature set from the groups that a generation holds for it and others.

    Args:
        manifest: of the generation; the plan is good for every generation of the same ``promise``.

    Raises:
        StoreError: if it does not serve the feature set.
    """

    def __init__(self, feature_set: FeatureSet, manifest: GenerationManifest) -> None:
        require_served(manifest, feature_set, manifest.name)
        self.feature_set = feature_set
        self._promise = manifest.promise
        self._numbers = [manifest.layout.number_of(group) for group in feature_set.groups]
        self._layouts = [manifest.layout.groups[number] for number in self._numbers]
        self._windows = [_windows_of(group) for group in feature_set.groups]
        self._key_columns = list(dict.fromkeys(column for group in feature_set.groups for column in group.keys))
        self._block = [len(w) * layout.row_width for w, layout in zip(self._windows, self._layouts, strict=True)]
        self._nulls = np.full(max(self._block, default=0), NULL, "<i8").tobytes()
        position = {group.name: i for i, group in enumerate(feature_set.groups)}
        aggregates = feature_set.aggregates
        self._group_of = np.array([position[a.group.name] for a in aggregates], np.intp)
        self._word_of = np.array([self._word(position[a.group.name], a) for a in aggregates], np.intp)[:, None]
        operations = [a.aggregation.operation for a in aggregates]
        self._since = np.array([i for i, o in enumerate(operations) if o is Operation.SINCE_LAST], np.intp)
        self._wide = [i for i, o in enumerate(operations) if o is Operation.SUM_OF_SQUARES]
        low = {i: len(operations) + n for n, i in enumerate(self._wide)}
        self._combine = Combination([(o, i, low.get(i)) for i, o in enumerate(operations)])
        self._starts_at: int | None = None
        self._starts: list[list[int | None]] = []

    def words(self, order: Mapping[str, Sequence[Any]], now_us: int, read: Read) -> tuple[Snapshot, np.ndarray]:
        """What was seen, and the words of every aggregate of every line as of ``Snapshot.moment_us(now_us)``.

        Returns:
            The words: int64, shape (aggregates + wide ones, lines): ``NULL`` where missing; after the aggregates the low
            words of those that have two.

        Raises:
            OtherPromise: if the generation is not of those that the plan was made for.
        """
        keys: list[bytes] = []
        lists: list[bytes] = []
        owners: list[int] = []
        begins: list[list[int]] = []
        parts = {column: [None if v is None else encode_part(v) for v in order[column]] for column in self._key_columns}
        at = len(self._nulls) // WORD
        for g, layout in enumerate(self._layouts):
            block, number = self._block[g], self._numbers[g]
            known: dict[bytes, int] = {}
            line_begins = []
            for body in _joined([parts[column] for column in layout.group.keys]):
                if body is None:
                    line_begins.append(0)
                    continue
                begin = known.get(body)
                if begin is None:
                    begin, at = at, at + block
                    known[body] = begin
                    keys.append(join_key(number, body))
                    owners.append(g)
                    if layout.distinct:
                        lists.append(join_key(number + LISTS, body))
                line_begins.append(begin)
            begins.append(line_begins)

        def join(snapshot: Snapshot, published: Values, live: Values | None) -> Joined:
            if snapshot.generation.manifest.promise != self._promise:
                raise OtherPromise(snapshot.generation.manifest)
            starts = self._window_starts(snapshot.moment_us(now_us))
            rows = self._rows(owners, published, starts)
            if live is None or not any(live):
                return snapshot, rows, None
            return snapshot, rows, self._live_rows(owners, published, live, starts)

        snapshot, published, live = read(keys + lists, join)
        index = np.array(begins, np.intp).take(self._group_of, 0)
        index += self._word_of
        if self._wide:
            index = np.concatenate([index, index[self._wide] + 1])
        words = np.frombuffer(published, "<i8").take(index)
        if live is not None:
            words = self._combine(words, np.frombuffer(live, "<i8").take(index))
        return snapshot, words

    def _word(self, g: int, aggregate: Aggregate) -> int:
        return self._layouts[g].word_of(aggregate, self._windows[g])

    def _rows(self, owners: list[int], values: Values, starts: list[list[int | None]]) -> bytes:
        layouts = self._layouts
        rows: list[bytes | memoryview] = [self._nulls]
        for g, value in zip(owners, values, strict=False):  # the lists of values come after the rows
            rows += layouts[g].read(value, starts[g])
        return b"".join(rows)

    def _live_rows(self, owners: list[int], published: Values, live: Values, starts: list[list[int | None]]) -> bytes:
        rows: list[bytes | memoryview] = [self._nulls]
        at = len(owners)
        for g, value in zip(owners, live, strict=False):
            layout = self._layouts[g]
            own: list[bytes | memoryview] = layout.read(value, starts[g])
            if layout.distinct:
                if value is not None:
                    own = count_new(layout, own, published[at], live[at], starts[g])
                at += 1
            rows += own
        return b"".join(rows)

    def fill(self, out: np.ndarray, words: np.ndarray, requested_at_us: int) -> None:
        """Write the aggregates as float64 (aggregates, lines), missing as NaN."""
        aggregates = len(out)
        out[:] = words[:aggregates]
        out[words[:aggregates] == NULL] = np.nan
        if len(self._since):
            out[self._since] = requested_at_us - out[self._since]
        if self._wide:
            exact = self.exact(words, requested_at_us)
            for i in self._wide:
                out[i] = [np.nan if value is None else float(value) for value in exact[i]]

    def exact(self, words: np.ndarray, requested_at_us: int) -> list[list[int | None]]:
        """The aggregates as integers, None where missing, in ``FeatureSet.aggregates`` order."""
        return exact_values(self.feature_set, words, requested_at_us)

    def _window_starts(self, requested_at_us: int) -> list[list[int | None]]:
        """By group the start of each of its windows; they change once a hop."""
        hop = requested_at_us // 300_000_000
        if hop != self._starts_at:
            self._starts = [[w.start_us(requested_at_us) for w in windows] for windows in self._windows]
            self._starts_at = hop
        return self._starts


def _windows_of(group: KeyGroup) -> tuple[Window, ...]:
    """Longest first: the searched tile only moves forward, but where hours begin before a shorter window of days."""
    windows = dict.fromkeys(aggregate.window for aggregate in group.aggregates())
    return tuple(sorted(windows, key=lambda w: -(w.length_us or 1 << 62)))


def _joined(columns: list[list[bytes | None]]) -> list[bytes | None]:
    """For each line its encoded key parts as one; None where a part is missing."""
    joined = columns[0]
    for column in columns[1:]:
        joined = [None if a is None or b is None else a + b for a, b in zip(joined, column, strict=True)]
    return joined


def exact_values(feature_set: FeatureSet, words: np.ndarray, requested_at_us: int) -> list[list[int | None]]:
    """What stored words say.

    Args:
        feature_set: the declarations.
        words: int64, shape (aggregates + wide ones, lines), as ``ReadPlan.words`` returns them and the inference log
            keeps them.
        requested_at_us: the moment they are of.

    Returns:
        For each aggregate one integer for each line, None where missing.
    """
    operations = [a.aggregation.operation for a in feature_set.aggregates]
    rows = words[: len(operations)].tolist()
    wide = [i for i, operation in enumerate(operations) if operation is Operation.SUM_OF_SQUARES]
    for i, operation in enumerate(operations):
        if operation is Operation.SINCE_LAST:
            rows[i] = [v if v == NULL else requested_at_us - v for v in rows[i]]
    for low, i in zip(words[len(rows) :].tolist(), wide, strict=True):
        rows[i] = [v if v == NULL else (v << 62) | w for v, w in zip(rows[i], low, strict=True)]
    return [[None if v == NULL else v for v in row] for row in rows]
