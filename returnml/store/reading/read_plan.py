"""How a feature set's aggregates are read: keys, windows and words, worked out once.

A generation's first two days are answered from heads, later ones from tiles; the live part has tiles alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np

from returnml.errors import Refusal
from returnml.features.declarations import Operation
from returnml.features.feature_set import FeatureSet
from returnml.features.request_inputs import OrderColumns
from returnml.features.tiles.arithmetic import (
    LOW_BITS,
    NULL,
)
from returnml.features.tiles.heads import DAYS
from returnml.features.tiles.live_tiles import Combination
from returnml.features.tiles.value_lists import count_new
from returnml.features.windows import DAY_US, FIVE_MINUTES_US, Window
from returnml.store.backend import Found, Snapshot
from returnml.store.generation_manifest import (
    GenerationManifest,
    require_served,
)
from returnml.store.keys import LISTS, MAX_BYTES, TILES, bounded, encode_part, in_section
from returnml.store.reading.blocks import (
    Group,
    GroupKeys,
    HeadBlocks,
    LatestBlocks,
    Starts,
    TileBlocks,
)

Read = Callable[[Sequence[bytes]], Found]
"""``LiveStore.read``, or ``backend.read_generation`` of one."""


class OtherPromise(Refusal):
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
        self._tiles = TileBlocks(feature_set, self._groups)
        self._latest = LatestBlocks(feature_set, self._groups)
        self._nulls: dict[str | bytes, Iterable[Any]] = {group.null: repeat(group.null) for group in self._groups}
        self._key_columns = list(dict.fromkeys(column for group in feature_set.groups for column in group.keys))
        operations = [a.aggregation.operation for a in feature_set.aggregates]
        self._since = np.array([i for i, o in enumerate(operations) if o is Operation.SINCE_LAST], np.intp)
        self._wide = [i for i, o in enumerate(operations) if o is Operation.SUM_OF_SQUARES]
        low = {i: len(operations) + n for n, i in enumerate(self._wide)}
        self._combine = Combination([(o, i, low.get(i)) for i, o in enumerate(operations)])
        self._counted = {
            group.number: (g, counted) for g, group in enumerate(self._groups) if (counted := _counted(feature_set, group))
        }
        self._edges = Edges(self._groups, 0)

    def words(self, order: OrderColumns, now_us: int, read: Read) -> tuple[Snapshot, np.ndarray]:
        """What was seen, and the words of every aggregate of every line as of ``Snapshot.moment_us(now_us)``.

        One key, two tiles, one window. Anna ordered once on Monday and twice on Tuesday; the generation's cut-off is Tuesday noon
        (the tiles and heads of ``features.tiles``):

        >>> import tempfile
        >>> from pathlib import Path
        >>> from returnml.features.declarations import Aggregation, KeyGroup, Stream
        >>> from returnml.features.tiles.arithmetic import GroupLayout, interleave
        >>> from returnml.features.tiles.heads import HeadLayout
        >>> from returnml.store.backend import read_generation
        >>> from returnml.store.generation import EncodedGroup, Packed
        >>> from returnml.store.generation_writing import write_generation
        >>> from returnml.store.keys import encode_key
        >>> from returnml.store.lmdb.embedded import LmdbBackend
        >>> count = Aggregation(Stream("orders", "core.orders", {}), Operation.COUNT, None, (Window.parse("1d"),))
        >>> group = KeyGroup("customer", ("customer_id",), (count,))
        >>> declared = FeatureSet("example", 1, (), (), (group,), ())
        >>> monday, tuesday, wednesday, thursday = (n * DAY_US for n in range(4, 8))
        >>> starts, rows, noon = np.array([monday, tuesday]), np.array([[3], [2]]), tuesday + DAY_US // 2
        >>> heads = Packed(*HeadLayout(GroupLayout(group)).encode(np.array([0]), starts, rows, noon))
        >>> tiles = Packed(interleave(1, np.array([2]), starts, rows), np.array([4]))
        >>> folder = tempfile.TemporaryDirectory()
        >>> encoded = EncodedGroup("customer", [encode_key(0, ["anna"])], heads, tiles, 2, [])
        >>> generation = write_generation(LmdbBackend(Path(folder.name)), [declared], noon, [encoded])

        ``1d`` begins with the day before the request's. On Tuesday it holds 3 and on Wednesday 2, both from the head; on Thursday
        none, from the tiles. An unknown customer has 0, a line without one ``NULL``:

        >>> plan = ReadPlan(declared, generation.manifest)
        >>> order = {"customer_id": ["anna", "bert", None]}
        >>> for at_us in (noon, wednesday, thursday):
        ...     _, words = plan.words(order, at_us, lambda keys: read_generation(generation, keys))
        ...     print([None if word == NULL else word for word in words[0].tolist()])
        [3, 0, None]
        [2, 0, None]
        [0, 0, None]
        >>> folder.cleanup()

        Returns:
            The words: int64, shape (aggregates + wide ones, lines): ``NULL`` where missing; after the aggregates the low
            words of those that have two.

        Raises:
            OtherPromise: if the generation is not of those that the plan was made for.
        """
        columns, keys = self._keys(order)
        known = len(keys)
        lists = [in_section(LISTS, key) for g, _ in self._counted.values() for key in dict.fromkeys(columns[g]) if len(key) > 1]
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
            words = self._heads.words(columns, keys, published[:known], day, edges.short)
        else:
            tiles = generation.read([in_section(TILES, key) for key in keys])
            words = self._tiles.words(columns, keys, tiles, edges.all, is_published=True)
        if live is not None and any(live):
            later = self._latest.words(columns, keys, live[:known], edges.short, edges.last_day_us)
            if later is None:
                later = self._tiles.words(columns, keys, live[:known], edges.all, is_published=False)
            words = self._combine(words, later)
            for key, before, listed in zip(lists, published[known:], live[known:], strict=True):
                if listed is not None:
                    self._count_new(words, columns, key, before, listed, at_us)
        return snapshot, words

    def fill(self, out: np.ndarray, words: np.ndarray, requested_at_us: int) -> None:
        """Write the aggregates as float64 (aggregates, lines), missing as NaN."""
        aggregates = len(out)
        out[:] = words[:aggregates]
        if len(self._since):
            out[self._since] = requested_at_us - out[self._since]
        np.putmask(out, words[:aggregates] == NULL, np.nan)
        for i, low in zip(self._wide, words[aggregates:], strict=True):
            exact = _joined(words[i].tolist(), low.tolist())
            out[i] = [np.nan if value == NULL else float(value) for value in exact]

    def exact(self, words: np.ndarray, requested_at_us: int) -> list[list[int | None]]:
        """The aggregates as integers, None where missing, in ``FeatureSet.aggregates`` order."""
        return exact_values(self.feature_set, words, requested_at_us)

    def _keys(self, order: OrderColumns) -> tuple[list[list[bytes]], list[bytes]]:
        """By group the key of each line, and all keys, each once."""
        partial = {name for name in self._key_columns if None in order[name]}
        encoded: dict[str | bytes, Iterable[Any]] = {
            name: [None if v is None else encode_part(v) for v in order[name]]
            if name in partial
            else list(map(encode_part, order[name]))
            for name in self._key_columns
        }
        encoded.update(self._nulls)
        columns: list[list[bytes]] = []
        for group in self._groups:
            of_lines = zip(*group.parts(encoded), strict=False)
            if not partial or partial.isdisjoint(group.key_columns):
                columns.append(list(map(b"".join, of_lines)))
            else:
                columns.append([group.null if None in line else b"".join(line) for line in of_lines])
        keys = list(dict.fromkeys(chain.from_iterable(columns)))
        if max(map(len, keys), default=0) > MAX_BYTES:
            columns = [[bounded(key) for key in own] for own in columns]
            keys = [bounded(key) for key in keys]
        if partial:
            keys = [key for key in keys if len(key) > 1]
        return columns, keys

    def _count_new(
        self, words: np.ndarray, columns: GroupKeys, key: bytes, published: bytes | None, live: bytes, at_us: int
    ) -> None:
        """Add to what ``distinct`` counted in the generation the values that are new in the live part.

        Args:
            key: of the lists ``published`` and ``live``.
        """
        g, counted = self._counted[key[0] - LISTS]
        asked = [(m, window.start_us(at_us)) for _, m, window in counted]
        lines = [i for i, other in enumerate(columns[g]) if other[1:] == key[1:]]
        for (row, *_), new in zip(counted, count_new(self._groups[g].layout, published, live, asked), strict=True):
            words[row, lines] += new


class Edges:
    """The starts of all windows of requests within the same five minutes, by group.

    Attributes:
        all, short: of all windows, and of those in minutes and hours.
        last_day_us: the latest at which a window in days begins.
    """

    def __init__(self, groups: Sequence[Group], at_us: int) -> None:
        self.slot = at_us // FIVE_MINUTES_US
        self.all: list[Starts] = [[w.start_us(at_us) for w in group.windows] for group in groups]
        self.short: list[Starts] = [[w.start_us(at_us) for w in group.short] for group in groups]
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
        rows[i] = _joined(rows[i], low)
    return [[None if v == NULL else v for v in row] for row in rows]


def _joined(high: list[int], low: list[int]) -> list[int]:
    """Integers of two words each, ``NULL`` where missing."""
    return [v if v == NULL else (v << LOW_BITS) | w for v, w in zip(high, low, strict=True)]
