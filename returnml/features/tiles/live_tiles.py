"""Tile arithmetic of the live part: the same rows as a generation's, kept up to date batch by batch.

A value has the format of ``features.tiles``: row ``i`` aggregates every event of tile ``i`` and after it. Events arrive
in the order in which they became known, so that a batch changes every row of its keys alike: all of them get the
batch's total, in one numpy operation over all rows of all keys of a group, and at most a few tiles are added.

Pure arithmetic on integers and bytes. Must not be here: databases, stores, keys.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from returnml.features.declarations import Operation
from returnml.features.text_codes import text_code
from returnml.features.tiles.arithmetic import (
    LOW_BITS,
    NULL,
    WORD,
    GroupLayout,
    TileError,
    interleave,
    separate,
)
from returnml.features.tiles.value_lists import merge_lists

_LOW_MASK = (1 << LOW_BITS) - 1


class _Pending:
    """What a batch brings for one key: its tiles, each alone, and its values of ``distinct`` measures with their tiles."""

    __slots__ = ("listed", "rows", "starts")

    def __init__(self, measures: int) -> None:
        self.starts: list[int] = []
        self.rows: list[array[int]] = []
        self.listed: list[dict[int, int]] = [{} for _ in range(measures)]


class LiveGroup:
    """How the events of one group are added and merged, worked out once."""

    def __init__(self, layout: GroupLayout) -> None:
        self.layout = layout
        self.adders: dict[str, list[tuple[Callable[[array[int], int, int], None], int, str | None]]] = {}
        self.listers: dict[str, list[tuple[int, str]]] = {}
        for measure in layout.measures:
            if measure.operation is Operation.DISTINCT:
                self.listers.setdefault(measure.stream, []).append((layout.distinct.index(measure), measure.column or ""))
            else:
                self.adders.setdefault(measure.stream, []).append((_ADD[measure.operation], measure.offset, measure.column))
        self.combine = Combination(
            (m.operation, m.offset, m.offset + 1 if m.operation is Operation.SUM_OF_SQUARES else None) for m in layout.measures
        )
        self.totals = [m for m in layout.measures if m.operation in (Operation.COUNT, Operation.SUM)]


class LiveTiles:
    """Collects a batch's events of one group, then merges them into the stored values of their keys."""

    def __init__(self, group: LiveGroup) -> None:
        self.layout = group.layout
        self._group = group
        self._hop_us = group.layout.hop_us
        self._pending: dict[tuple[str, ...], _Pending] = {}
        self._last_us = 0

    @property
    def keys(self) -> list[tuple[str, ...]]:
        """The keys that the batch has events of."""
        return list(self._pending)

    def add(self, key: tuple[str, ...], stream: str, known_at_us: int, columns: Mapping[str, int | str | None]) -> None:
        """Add one event, known no earlier than any before it."""
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending(len(self.layout.distinct))
        start = known_at_us - known_at_us % self._hop_us
        if not pending.starts or pending.starts[-1] != start:
            pending.starts.append(start)
            pending.rows.append(array("q", self.layout.empty_row))
        row = pending.rows[-1]
        for add, at, column in self._group.adders.get(stream, ()):
            value = known_at_us if column is None else columns[column]
            if isinstance(value, int):  # a text is listed, never added
                add(row, at, value)
        for i, column in self._group.listers.get(stream, ()):
            value = columns[column]
            listed = text_code(value) if isinstance(value, str) else value
            if listed is not None:
                pending.listed[i][listed] = start
        self._last_us = known_at_us

    def clear(self) -> None:
        """Forget the batch."""
        self._pending.clear()

    def merged(self, values: Sequence[bytes | None]) -> list[bytes]:
        """The values to store, from those stored (None where there is none), of each of ``keys``.

        One key, two tiles, one window (``1d``). An order on Monday makes a tile whose row is 1. Two on Tuesday make one whose row
        is 2, and Monday's row, which aggregates what comes after it too, becomes 3. A value is its starts, then its rows:

        >>> from returnml.features.declarations import Aggregation, KeyGroup, Stream
        >>> from returnml.features.windows import DAY_US, Window
        >>> count = Aggregation(Stream("orders", "core.orders", {}), Operation.COUNT, None, (Window.parse("1d"),))
        >>> tiles = LiveTiles(LiveGroup(GroupLayout(KeyGroup("customer", ("customer_id",), (count,)))))
        >>> monday, tuesday = 4 * DAY_US, 5 * DAY_US
        >>> tiles.add(("anna",), "orders", monday + 7, {})
        >>> [value] = tiles.merged([None])
        >>> np.frombuffer(value, "<i8").tolist() == [monday, 1]
        True
        >>> tiles.clear()
        >>> tiles.add(("anna",), "orders", tuesday + 1, {})
        >>> tiles.add(("anna",), "orders", tuesday + 2, {})
        >>> [value] = tiles.merged([value])
        >>> np.frombuffer(value, "<i8").tolist() == [monday, tuesday, 3, 2]
        True

        Raises:
            TileError: where a total would leave its bits.
        """
        width, pending = self.layout.row_width, list(self._pending.values())
        added, counts = self._suffixes(pending)
        first = np.cumsum(counts) - counts
        old_counts = np.array([len(value or b"") // (WORD * (1 + width)) for value in values])
        old_starts, old_rows = separate(width, old_counts, np.frombuffer(b"".join([v or b"" for v in values]), "<i8"))
        old_rows = self._group.combine(old_rows.T, np.repeat(added[first], old_counts, axis=0).T).T
        self._check(old_rows)
        starts = np.concatenate([old_starts, np.array([start for p in pending for start in p.starts], np.int64)])
        owner = np.repeat(np.tile(np.arange(len(pending)), 2), [*old_counts, *counts])
        order = np.argsort(owner, kind="stable")
        owner, starts = owner[order], self.layout.cut(self._last_us).starts(starts[order])
        # Of tiles that became one, the first aggregates all of them and what comes after.
        kept = starts != NULL
        kept[1:] &= (owner[1:] != owner[:-1]) | (starts[1:] != starts[:-1])
        counts = np.bincount(owner[kept], minlength=len(pending))
        words = interleave(width, counts, starts[kept], np.concatenate([old_rows, added])[order[kept]])
        content, ends = words.tobytes(), (np.cumsum(counts) * (WORD * (1 + width))).tolist()
        return [content[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]

    def merged_lists(self, listed: Sequence[bytes | None]) -> list[bytes]:
        """The lists of values to store, from those stored, of each of ``keys``."""
        return merge_lists(self.layout, self.layout.cut(self._last_us), listed, [p.listed for p in self._pending.values()])

    def _suffixes(self, pending: Sequence[_Pending]) -> tuple[np.ndarray, np.ndarray]:
        """The batch's tiles of all keys, each with what comes after it, and how many of each key."""
        rows = np.frombuffer(b"".join([row.tobytes() for p in pending for row in p.rows]), "<i8")
        rows = rows.reshape(-1, self.layout.row_width).copy()
        counts = np.array([len(p.rows) for p in pending])
        ends = np.cumsum(counts)
        for k in np.flatnonzero(counts > 1).tolist():
            for i in range(ends[k] - 2, ends[k] - counts[k] - 1, -1):
                rows[i] = self._group.combine(rows[i][:, None], rows[i + 1][:, None])[:, 0]
        return rows, counts

    def _check(self, rows: np.ndarray) -> None:
        for measure in self._group.totals:
            if len(rows) and np.abs(rows[:, measure.offset]).max() >= 1 << LOW_BITS:
                raise TileError(f"{self.layout.group.name}.{measure.name}: a total needs more than {LOW_BITS} bits")


def _add_count(row: array[int], at: int, value: int) -> None:
    row[at] += 1


def _add_value(row: array[int], at: int, value: int) -> None:
    row[at] += value


def _add_square(row: array[int], at: int, value: int) -> None:
    total = (row[at] << LOW_BITS) + row[at + 1] + value * value
    row[at], row[at + 1] = total >> LOW_BITS, total & _LOW_MASK


def _least(row: array[int], at: int, value: int) -> None:
    row[at] = value if row[at] == NULL else min(row[at], value)


def _greatest(row: array[int], at: int, value: int) -> None:
    row[at] = max(row[at], value)


def _latest(row: array[int], at: int, value: int) -> None:
    row[at] = value


_ADD = {
    Operation.COUNT: _add_count,
    Operation.SUM: _add_value,
    Operation.SUM_OF_SQUARES: _add_square,
    Operation.MIN: _least,
    Operation.MAX: _greatest,
    Operation.LAST: _latest,
    Operation.SINCE_LAST: _latest,
}


class Combination:
    """Combines words of earlier events with those of later ones, for many columns (lines, or tiles) at once.

    Args:
        places: of each aggregate its operation and row, and for ``sum_of_squares`` the row of its low word.
    """

    def __init__(self, places: Iterable[tuple[Operation, int, int | None]]) -> None:
        found = list(places)

        def rows(*wanted: Operation) -> np.ndarray:
            return np.array([row for o, row, _ in found if o in wanted], np.intp)

        self._least = rows(Operation.MIN)
        self._greatest = rows(Operation.MAX, Operation.SINCE_LAST)
        self._last = rows(Operation.LAST)
        self._high = rows(Operation.SUM_OF_SQUARES)
        self._low = np.array([low for _, _, low in found if low is not None], np.intp)

    def __call__(self, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        """int64, shape (words, columns), both; missing is ``NULL``.

        Where what is added up is missing in ``earlier``, ``later`` has 0: it stays missing.
        """
        words = earlier + later
        if len(self._greatest):
            words[self._greatest] = np.maximum(earlier[self._greatest], later[self._greatest])
        if len(self._least):
            a, b = earlier[self._least], later[self._least]
            words[self._least] = np.where((a == NULL) | (b == NULL), np.maximum(a, b), np.minimum(a, b))
        if len(self._last):
            a, b = earlier[self._last], later[self._last]
            words[self._last] = np.where(b == NULL, a, b)
        if len(self._high):
            low = earlier[self._low] + later[self._low]
            high = earlier[self._high] + later[self._high] + (low >> LOW_BITS)
            words[self._high] = np.where(earlier[self._high] == NULL, NULL, high)
            words[self._low] = low & _LOW_MASK
        return words
