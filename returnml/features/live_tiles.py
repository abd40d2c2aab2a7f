"""Tile arithmetic of the live part: the same rows as a generation's, kept up to date event by event.

A value has the format of ``features.tiles``: row ``i`` aggregates every event of tile ``i`` and after it. Events
arrive in the order in which they became known, so that each one changes every row of its key and at most adds a tile.
The live part holds few days, so that these are few rows.

``distinct`` cannot be added up from two counts: the values are listed, each with the start of its last tile, in a value
of their own, in the generation and in the live part alike::

    for each DISTINCT measure:  n, value_1 ... value_n (ascending), start_1 ... start_n

Pure arithmetic on integers and bytes. Must not be here: databases, stores, keys.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

import numpy as np

from returnml.features.declarations import Operation
from returnml.features.tiles import NULL, GroupLayout, Measure
from returnml.features.windows import floor_day

_LOW_BITS = 62
_LOW_MASK = (1 << _LOW_BITS) - 1


class LiveTiles:
    """One key's live rows, unpacked for changing.

    Args:
        value: as stored; None for a key without live events.
        listed: the stored lists of values, where the layout has ``distinct`` measures.
    """

    def __init__(self, layout: GroupLayout, value: bytes | None, listed: bytes | None) -> None:
        self._layout = layout
        width = layout.row_width
        words = array("q", value or b"")
        tiles = len(words) // (1 + width)
        self._starts = words[:tiles]
        self._rows = [words[tiles + i * width : tiles + (i + 1) * width] for i in range(tiles)]
        self._listed = [dict(zip(values.tolist(), lasts.tolist(), strict=True)) for values, lasts in decode_lists(layout, listed)]

    def add(self, stream: str, known_at_us: int, columns: Mapping[str, int | None]) -> None:
        """Add one event, known no earlier than any before it."""
        start = floor_day(known_at_us)
        if not self._starts or self._starts[-1] != start:
            self._starts.append(start)
            self._rows.append(array("q", self._layout.empty_row))
        for measure in self._layout.measures:
            if measure.stream != stream:
                continue
            value = columns[measure.column] if measure.column is not None else known_at_us
            if value is None:
                continue
            if measure.operation is Operation.DISTINCT:
                self._listed[self._layout.distinct.index(measure)][value] = start
                continue
            for row in self._rows:
                _add(row, measure, value)

    def encode(self) -> bytes:
        """The value to store."""
        return b"".join([self._starts.tobytes(), *(row.tobytes() for row in self._rows)])

    def encode_lists(self) -> bytes:
        """The lists of values to store."""
        return encode_lists([sorted(listed.items()) for listed in self._listed])


def _add(row: array[int], measure: Measure, value: int) -> None:
    at = measure.offset
    match measure.operation:
        case Operation.COUNT:
            row[at] += 1
        case Operation.SUM:
            row[at] += value
        case Operation.SUM_OF_SQUARES:
            total = (row[at] << _LOW_BITS) + row[at + 1] + value * value
            row[at], row[at + 1] = total >> _LOW_BITS, total & _LOW_MASK
        case Operation.MIN:
            row[at] = value if row[at] == NULL else min(row[at], value)
        case Operation.MAX:
            row[at] = max(row[at], value)
        case _:  # LAST and SINCE_LAST
            row[at] = value


def encode_lists(lists: Sequence[Sequence[tuple[int, int]]]) -> bytes:
    """Pack (value, start of its last tile) pairs, ascending by value, of each ``distinct`` measure."""
    words = array("q")
    for pairs in lists:
        words.append(len(pairs))
        words.extend(value for value, _ in pairs)
        words.extend(start for _, start in pairs)
    return words.tobytes()


def decode_lists(layout: GroupLayout, listed: bytes | memoryview | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each ``distinct`` measure its values, ascending, and the starts of their last tiles: int64 arrays."""
    empty = np.empty(0, np.int64)
    if listed is None:
        return [(empty, empty)] * len(layout.distinct)
    words = np.frombuffer(listed, "<i8")
    found = []
    for _ in layout.distinct:
        n = int(words[0])
        found.append((words[1 : 1 + n], words[1 + n : 1 + 2 * n]))
        words = words[1 + 2 * n :]
    return found


def count_new(
    layout: GroupLayout,
    rows: Sequence[bytes | memoryview],
    published: bytes | memoryview | None,
    listed: bytes | memoryview | None,
    starts_us: Sequence[int | None],
) -> list[bytes | memoryview]:
    """Write into a key's live rows how many values of a window the generation's row has not counted.

    Args:
        rows: the live row of each window.
        published, listed: the lists of the generation and of the live part.
        starts_us: of each window; None for ``lifetime``.
    """
    counted = [array("q", bytes(row)) for row in rows]
    old = decode_lists(layout, published)
    for measure, (values, lasts), (known, known_lasts) in zip(layout.distinct, decode_lists(layout, listed), old, strict=True):
        at = np.searchsorted(known, values)
        at[at == len(known)] = 0
        before = np.full(len(values), NULL)
        if len(known):
            is_known = known[at] == values
            before[is_known] = known_lasts[at[is_known]]
        for row, start_us in zip(counted, starts_us, strict=True):
            first = NULL + 1 if start_us is None else start_us
            row[measure.offset] = int(((lasts >= first) & (before < first)).sum())
    return [row.tobytes() for row in counted]


class Combination:
    """Adds the words of the live rows to those of the generation's, for all aggregates and lines at once.

    Args:
        operations: of each aggregate; a ``sum_of_squares`` has its low word behind all of them, in order.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        def rows(*wanted: Operation) -> np.ndarray:
            return np.array([i for i, o in enumerate(operations) if o in wanted], np.intp)

        self._least = rows(Operation.MIN)
        self._greatest = rows(Operation.MAX, Operation.SINCE_LAST)
        self._last = rows(Operation.LAST)
        self._high = rows(Operation.SUM_OF_SQUARES)
        self._low = np.arange(len(self._high)) + len(operations)

    def __call__(self, published: np.ndarray, live: np.ndarray) -> np.ndarray:
        """int64, shape (words, lines), both; missing is ``NULL``."""
        # What is added up is missing in both or in neither; the operations that are not are put right below.
        words = np.where(published == NULL, NULL, published + live)
        if len(self._greatest):
            words[self._greatest] = np.maximum(published[self._greatest], live[self._greatest])
        if len(self._least):
            a, b = published[self._least], live[self._least]
            words[self._least] = np.where((a == NULL) | (b == NULL), np.maximum(a, b), np.minimum(a, b))
        if len(self._last):
            a, b = published[self._last], live[self._last]
            words[self._last] = np.where(b == NULL, a, b)
        if len(self._high):
            low = published[self._low] + live[self._low]
            high = published[self._high] + live[self._high] + (low >> _LOW_BITS)
            words[self._high] = np.where(published[self._high] == NULL, NULL, high)
            words[self._low] = low & _LOW_MASK
        return words
