"""How a feature set's aggregates are read: keys, windows and words, worked out once.

All rows that a request needs (for each key and window one) are joined into one array of words; each aggregate of
each line is then one index into it. In front lie a block of missing values, for lines without the key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from returnml.features.declarations import FeatureSet, Operation
from returnml.features.tiles import NULL, WORD, GroupLayout
from returnml.store.keys import encode_key
from returnml.store.manifest import GenerationManifest, StoreError, layout_hash

Read = Callable[[Sequence[bytes], Callable[[list[memoryview | None]], bytes]], bytes]


class ReadPlan:
    """The precompiled read of one feature set.

    Raises:
        StoreError: if the generation's rows are laid out otherwise.
    """

    def __init__(self, feature_set: FeatureSet, manifest: GenerationManifest) -> None:
        if manifest.feature_set_hash != feature_set.hash or manifest.layout_hash != layout_hash(feature_set):
            raise StoreError(f"generation {manifest.name}: of other declarations than {feature_set.name} {feature_set.hash[:12]}")
        self.feature_set = feature_set
        self._layouts = [GroupLayout(group) for group in feature_set.groups]
        self._block = [len(layout.windows) * layout.row_width for layout in self._layouts]
        self._nulls = np.full(max(self._block, default=0), NULL, "<i8").tobytes()
        position = {group.name: i for i, group in enumerate(feature_set.groups)}
        aggregates = feature_set.aggregates
        self._group_of = np.array([position[a.group.name] for a in aggregates], np.intp)
        self._word_of = np.array([self._layouts[position[a.group.name]].word_of(a) for a in aggregates], np.intp)[:, None]
        operations = [a.aggregation.operation for a in aggregates]
        self._since = np.array([i for i, o in enumerate(operations) if o is Operation.SINCE_LAST], np.intp)
        self._wide = [i for i, o in enumerate(operations) if o is Operation.SUM_OF_SQUARES]
        self._starts_at: int | None = None
        self._starts: list[list[int | None]] = []

    def words(self, order: Mapping[str, Sequence[Any]], requested_at_us: int, read: Read) -> np.ndarray:
        """The stored words of every aggregate of every line.

        Returns:
            int64, shape (aggregates + wide ones, lines): ``NULL`` where missing; after the aggregates the low words
            of those that have two.
        """
        keys: list[bytes] = []
        owners: list[int] = []
        begins: list[list[int]] = []
        at = len(self._nulls) // WORD
        for g, layout in enumerate(self._layouts):
            block = self._block[g]
            known: dict[tuple, int] = {}
            line_begins = []
            for parts in zip(*[order[k] for k in layout.group.keys], strict=True):
                begin = known.get(parts)
                if begin is None:
                    if None in parts:
                        begin = 0
                    else:
                        begin, at = at, at + block
                        keys.append(encode_key(g, parts))
                        owners.append(g)
                    known[parts] = begin
                line_begins.append(begin)
            begins.append(line_begins)
        starts = self._window_starts(requested_at_us)
        layouts = self._layouts

        def join(values: list[memoryview | None]) -> bytes:
            rows: list[bytes | memoryview] = [self._nulls]
            for g, value in zip(owners, values, strict=True):
                rows += layouts[g].read(value, starts[g])
            return b"".join(rows)

        words = np.frombuffer(read(keys, join), "<i8")
        index = np.array(begins, np.intp)[self._group_of] + self._word_of
        if self._wide:
            index = np.concatenate([index, index[self._wide] + 1])
        return words[index]

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
        rows = words[: len(self.feature_set.aggregates)].tolist()
        for i in self._since:
            rows[i] = [v if v == NULL else requested_at_us - v for v in rows[i]]
        for low, i in zip(words[len(rows) :].tolist(), self._wide, strict=True):
            rows[i] = [v if v == NULL else (v << 62) | w for v, w in zip(rows[i], low, strict=True)]
        return [[None if v == NULL else v for v in row] for row in rows]

    def _window_starts(self, requested_at_us: int) -> list[list[int | None]]:
        """By group the start of each of its windows; they change once a hop."""
        hop = requested_at_us // 300_000_000
        if hop != self._starts_at:
            self._starts = [[w.start_us(requested_at_us) for w in layout.windows] for layout in self._layouts]
            self._starts_at = hop
        return self._starts
