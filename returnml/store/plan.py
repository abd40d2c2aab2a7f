"""How a feature set's aggregates are read: keys, windows and words, worked out once.

A generation's first two days are answered from heads, later ones from tiles; the live part has tiles alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from returnml.features.declarations import FeatureSet, Operation
from returnml.features.heads import DAYS
from returnml.features.live_tiles import Combination
from returnml.features.tiles import NULL, first_start
from returnml.features.value_lists import count_new
from returnml.features.windows import DAY_US, FIVE_MINUTES_US, Window
from returnml.store.backend import Found, Snapshot, Values
from returnml.store.blocks import Columns, Group, HeadBlocks, RowBlocks, Starts
from returnml.store.keys import LISTS, MAX_BYTES, TILES, bounded, encode_part, in_section
from returnml.store.manifest import GenerationManifest, require_served

Read = Callable[[Sequence[bytes]], Found]
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
        numbers = [manifest.layout.number_of(group) for group in feature_set.groups]
        held = manifest.layout.groups
        self._groups = [Group(group, n, held[n]) for group, n in zip(feature_set.groups, numbers, strict=True)]
        self._heads = HeadBlocks(feature_set, self._groups)
        self._tiles = RowBlocks(feature_set, self._groups)
        self._latest = RowBlocks(feature_set, self._groups, is_latest=True)
        self._key_columns = list(dict.fromkeys(column for group in feature_set.groups for column in group.keys))
        operations = [a.aggregation.operation for a in feature_set.aggregates]
        self._since = np.array([i for i, o in enumerate(operations) if o is Operation.SINCE_LAST], np.intp)
        self._wide = [i for i, o in enumerate(operations) if o is Operation.SUM_OF_SQUARES]
        low = {i: len(operations) + n for n, i in enumerate(self._wide)}
        self._combine = Combination([(o, i, low.get(i)) for i, o in enumerate(operations)])
        self._counted = [(g, counted) for g, group in enumerate(self._groups) if (counted := _counted(feature_set, group))]
        self._edges = Edges(self._groups, 0)

    def words(self, order: Mapping[str, Sequence[Any]], now_us: int, read: Read) -> tuple[Snapshot, np.ndarray]:
        """What was seen, and the words of every aggregate of every line as of ``Snapshot.moment_us(now_us)``.

        Returns:
            The words: int64, shape (aggregates + wide ones, lines): ``NULL`` where missing; after the aggregates the low
            words of those that have two.

        Raises:
            OtherPromise: if the generation is not of those that the plan was made for.
        """
        columns, keys = self._keys(order)
        lists = [in_section(LISTS, key) for g, _ in self._counted for key in self._known(columns, g)]
        snapshot, published, live = read(keys + lists)
        generation = snapshot.generation
        if generation.manifest.promise != self._promise:
            raise OtherPromise(generation.manifest)
        at_us = snapshot.moment_us(now_us)
        edges = self._edges
        if edges.slot != at_us // FIVE_MINUTES_US:
            edges = self._edges = Edges(self._groups, at_us)
        day = at_us // DAY_US - generation.cut_off_us // DAY_US
        if day < DAYS:
            words = self._heads.words(columns, dict(zip(keys, published, strict=False)), day, edges.short)
        else:
            tiles = generation.read([in_section(TILES, key) for key in keys])
            words = self._tiles.words(columns, dict(zip(keys, tiles, strict=True)), edges.all, is_published=True)
        if live is None:
            return snapshot, words
        later = {key: value for key, value in zip(keys, live, strict=False) if value is not None}
        if not later:
            return snapshot, words
        if all([first_start(value) >= edges.last_day_us for value in later.values()]):
            words = self._combine(words, self._latest.words(columns, later, edges.latest))
        else:
            words = self._combine(words, self._tiles.words(columns, later, edges.all))
        if lists:
            self._count_new(words, columns, at_us, published[len(keys) :], live[len(keys) :])
        return snapshot, words
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

    def _keys(self, order: Mapping[str, Sequence[Any]]) -> tuple[list[list[bytes]], list[bytes]]:
        """By group the key of each line, and all keys, each once."""
        parts = {column: [None if v is None else encode_part(v) for v in order[column]] for column in self._key_columns}
        partial = {column for column, encoded in parts.items() if None in encoded}
        columns: list[list[bytes]] = []
        keys: list[bytes] = []
        for group in self._groups:
            of_lines = zip(*[parts[column] for column in group.key_columns], strict=True)
            null = group.null
            if partial.isdisjoint(group.key_columns):
                own = [null + b"".join(line) for line in of_lines]
                keys += dict.fromkeys(own)
            else:
                own = [null if None in line else null + b"".join(line) for line in of_lines]
                keys += [key for key in dict.fromkeys(own) if key != null]
            columns.append(own)
        if max(map(len, keys), default=0) > MAX_BYTES:
            columns = [[bounded(key) for key in own] for own in columns]
            keys = [bounded(key) for key in keys]
        return columns, keys

    def _count_new(self, words: np.ndarray, columns: Columns, at_us: int, known: Values, listed: Values) -> None:
        """Add to what ``distinct`` counted in the generation the values that are new in the live part."""
        pairs = zip(known, listed, strict=True)
        for g, counted in self._counted:
            for key in self._known(columns, g):
                published, live = next(pairs)
                if live is not None:
                    asked = [(m, window.start_us(at_us)) for _, m, window in counted]
                    lines = [i for i, other in enumerate(columns[g]) if other == key]
                    for (row, *_), new in zip(counted, count_new(self._groups[g].layout, published, live, asked), strict=True):
                        words[row, lines] += new

    def _known(self, columns: Columns, g: int) -> list[bytes]:
        """The keys of a group, each once."""
        return [key for key in dict.fromkeys(columns[g]) if key != self._groups[g].null]


class Edges:
    """The starts of all windows of requests within the same five minutes, by group.

    Attributes:
        all, short: of all windows, and of those in minutes and hours.
        latest: of the rows of ``RowBlocks(is_latest=True)``.
        last_day_us: the latest at which a window in days begins.
    """

    def __init__(self, groups: Sequence[Group], at_us: int) -> None:
        self.slot = at_us // FIVE_MINUTES_US
        self.all: list[Starts] = [[w.start_us(at_us) for w in group.windows] for group in groups]
        self.short: list[Starts] = [[w.start_us(at_us) for w in group.short] for group in groups]
        self.latest: list[Starts] = [[None, *short] for short in self.short]
        days = [w.start_us(at_us) for group in groups for w in group.windows if w.hop_us == DAY_US]
        self.last_day_us = max((start for start in days if start is not None), default=NULL)


def _counted(feature_set: FeatureSet, group: Group) -> list[tuple[int, int, Window]]:
    """Of each ``distinct`` aggregate of a group its row of words, its position among the lists, and its window."""
    return [
        (row, group.layout.distinct.index(group.layout.measure_of(a)), a.window)
        for row, a in enumerate(feature_set.aggregates)
        if a.group.name == group.name and a.aggregation.operation is Operation.DISTINCT
    ]


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
