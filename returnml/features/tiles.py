"""Tile arithmetic of the online engine: what is stored for one key, and how a window is read from it.

For one key of a group the store holds its tiles (one per UTC day with events, ascending) as 64-bit words::

    start_0 ... start_{n-1}        starts of the tiles, microseconds since the epoch
    row_0   ... row_{n-1}          row_width words each

Row ``i`` aggregates *every* event of tile ``i`` **and after it**. A request is never older than the generation's
cut-off, so that each window reaches to the end of the tiles: its value is the row of the first tile that starts in
it, for sums and for min, max, last and distinct alike. Reading is one search and one slice, nothing is subtracted.

Pure arithmetic on integers and bytes. Must not be here: databases, stores, keys.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from returnml.features.declarations import Aggregate, KeyGroup, Operation
from returnml.features.windows import DAY_US, Window

NULL = -(1 << 63)
"""The word of a missing value. No stored measure reaches it: magnitudes are checked to stay below 2**62."""

WORD = 8
_LOW_BITS = 62
_LIMB_BITS = 31
LIMBS = 4
_ADDITIVE = {Operation.COUNT, Operation.SUM, Operation.DISTINCT}


class TileError(ValueError):
    """Declarations or values that the tiles cannot hold exactly; the message names the group and measure."""


@dataclass(frozen=True)
class Measure:
    """What a row holds for one operation on one column of a stream.

    ``SINCE_LAST`` holds the last ``known_at``; ``SUM_OF_SQUARES`` two words, ``high * 2**62 + low``; ``DISTINCT``
    the number of different values.
    """

    stream: str
    operation: Operation
    column: str | None
    offset: int

    @property
    def name(self) -> str:
        return "_".join(part for part in (self.stream, self.column, self.operation) if part)

    @property
    def words(self) -> int:
        return 2 if self.operation is Operation.SUM_OF_SQUARES else 1

    @property
    def is_zero_without_events(self) -> bool:
        return self.operation.is_invertible or self.operation is Operation.DISTINCT


class GroupLayout:
    """The words of one group's rows, derived from its declarations.

    Raises:
        TileError: for a window that does not move in days.
    """

    def __init__(self, group: KeyGroup) -> None:
        self.group = group
        found: dict[tuple, Measure] = {}
        width = 0
        windows: dict[Window, None] = {}
        for aggregate in group.aggregates():
            if aggregate.window.hop_us != DAY_US:
                raise TileError(f"{aggregate.name}: a window of hours or minutes needs tiles shorter than a day")
            a = aggregate.aggregation
            key = (a.stream.name, a.operation, a.column)
            if key not in found:
                found[key] = Measure(*key, offset=width)
                width += found[key].words
            windows[aggregate.window] = None
        self.measures = tuple(found.values())
        self.row_width = width
        # Longest first: the searched tile only moves forward.
        self.windows = tuple(sorted(windows, key=lambda w: -(w.length_us or 1 << 62)))
        self._by_key = found

    @cached_property
    def distinct(self) -> tuple[Measure, ...]:
        """The measures whose values are listed beside the rows (see ``live_tiles``)."""
        return tuple(m for m in self.measures if m.operation is Operation.DISTINCT)

    @cached_property
    def keeps_lifetime(self) -> bool:
        return any(window.length_us is None for window in self.windows)

    @cached_property
    def horizon_us(self) -> int:
        """The longest window with a start; older tiles are needed only by ``lifetime``, as one."""
        return max((w.length_us for w in self.windows if w.length_us is not None), default=0)

    @cached_property
    def empty_row(self) -> bytes:
        """The row of a window without events: counts and sums 0, the others missing."""
        row = np.full(self.row_width, NULL, "<i8")
        for measure in self.measures:
            if measure.is_zero_without_events:
                row[measure.offset : measure.offset + measure.words] = 0
        return row.tobytes()

    def word_of(self, aggregate: Aggregate, windows: Sequence[Window]) -> int:
        """Where an aggregate's value starts in ``read`` of one key at the starts of ``windows``."""
        a = aggregate.aggregation
        measure = self._by_key[(a.stream.name, a.operation, a.column)]
        return windows.index(aggregate.window) * self.row_width + measure.offset

    def as_data(self) -> list:
        """What a generation's manifest says about the group; a reader refuses any other."""
        measures = [[m.name, m.words] for m in self.measures]
        return [self.group.name, list(self.group.keys), measures, sorted(w.name for w in self.windows)]

    def read(self, value: memoryview | None, starts_us: Sequence[int | None]) -> list[bytes | memoryview]:
        """The rows of one key.

        Args:
            value: as stored (of the type of ``bytes``); None for an unknown key.
            starts_us: the start of each window that is asked for; None for ``lifetime``. Longer ones come first.

        Returns:
            For each window the bytes of one row, ``row_width`` words.
        """
        if value is None:
            return [self.empty_row] * len(starts_us)
        size = WORD * self.row_width
        tiles = len(value) // (WORD + size)
        starts = value.cast("q")
        rows: list[bytes | memoryview] = []
        first = WORD * tiles
        i = 0
        for start_us in starts_us:
            if start_us is not None and starts[i] < start_us:
                i = bisect_left(starts, start_us, i + 1, tiles)
                if i == tiles:  # and so for the windows that start later
                    return rows + [self.empty_row] * (len(starts_us) - len(rows))
            begin = first + i * size
            rows.append(value[begin : begin + size])
        return rows


def encode(layout: GroupLayout, first: np.ndarray, starts_us: np.ndarray, tiles: Mapping[str, np.ndarray]) -> np.ndarray:
    """Turn per-tile measures of many keys into stored values.

    Args:
        layout: of the group.
        first: int64, shape (keys,): index of each key's first tile; every key has one at least.
        starts_us: int64, shape (n,): tile starts, ascending within a key.
        tiles: by ``Measure.name`` the measure of each tile alone: int64, shape (n,), ``NULL`` where missing. Of
            ``SUM_OF_SQUARES`` shape (4, n): 31-bit limbs, lowest first. Of ``DISTINCT`` the number of values that
            occur in this tile and not in any later one of the key.

    Returns:
        int64, the values one after the other; key ``k`` starts at word ``first[k] * (1 + row_width)``.

    Raises:
        TileError: where a total would leave its bits.
    """
    n = len(starts_us)
    counts = np.diff(np.append(first, n))
    rows = np.empty((n, layout.row_width), np.int64)
    for measure in layout.measures:
        name = f"{layout.group.name}.{measure.name}"
        values = tiles[measure.name]
        if measure.operation in _ADDITIVE:
            rows[:, measure.offset] = _suffix_sum(np.where(values == NULL, 0, values), first, counts, name)
        elif measure.operation is Operation.SUM_OF_SQUARES:
            high, low = _suffix_sum_of_limbs(values, first, counts, name)
            rows[:, measure.offset], rows[:, measure.offset + 1] = high, low
        elif measure.operation in (Operation.MIN, Operation.MAX):
            rows[:, measure.offset] = _suffix_extreme(values, counts, is_max=measure.operation is Operation.MAX)
        else:
            rows[:, measure.offset] = _suffix_last(values, first, counts)
    return _interleave(layout.row_width, first, counts, starts_us, rows)


def _suffix_sum(values: np.ndarray, first: np.ndarray, counts: np.ndarray, name: str) -> np.ndarray:
    """Sum over a key's tiles from each one on. Differences of wrapping int64 totals are exact below 2**62."""
    if len(first) and np.add.reduceat(np.abs(values.astype(np.float64)), first).max() >= 2.0**_LOW_BITS:
        raise TileError(f"{name}: a total needs more than 62 bits")
    total = np.cumsum(values)
    last = first + counts - 1
    return np.repeat(total[last], counts) - total + values


def _suffix_sum_of_limbs(limbs: np.ndarray, first: np.ndarray, counts: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    sums = [_suffix_sum(limb, first, counts, name) for limb in limbs]
    for lower in range(LIMBS - 1):
        sums[lower + 1] += sums[lower] >> _LIMB_BITS
        sums[lower] &= (1 << _LIMB_BITS) - 1
    if len(first) and sums[-1].max() >= 1 << (_LIMB_BITS - 1):
        raise TileError(f"{name}: a total needs more than 123 bits")
    return sums[2] | sums[3] << _LIMB_BITS, sums[0] | sums[1] << _LIMB_BITS


def _suffix_extreme(values: np.ndarray, counts: np.ndarray, is_max: bool) -> np.ndarray:
    """Running min (or max) from the end of each key; the missing do not take part."""
    known = np.unique(values[values != NULL])
    ranked = np.searchsorted(known, values)
    if is_max:
        ranked = len(known) - 1 - ranked
    ranked = np.where(values == NULL, len(known), ranked)
    # Walking backwards each key's numbers lie wholly below those of the key before: the running minimum restarts.
    key = np.repeat(np.arange(len(counts)), counts)
    numbers = (key * (len(known) + 1) + ranked)[::-1]
    best = np.minimum.accumulate(numbers)[::-1] - key * (len(known) + 1)
    if is_max:
        known = known[::-1]
    return np.append(known, NULL)[best]


def _suffix_last(values: np.ndarray, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The value of the key's last tile that has one, in each tile up to it."""
    if not len(first):
        return values
    position = np.arange(len(values))
    last = np.repeat(np.maximum.reduceat(np.where(values == NULL, -1, position), first), counts)
    return np.where(position <= last, values[last], NULL)


def _interleave(width: int, first: np.ndarray, counts: np.ndarray, starts_us: np.ndarray, rows: np.ndarray) -> np.ndarray:
    words = np.empty(len(starts_us) * (1 + width), "<i8")
    within = np.arange(len(starts_us)) - np.repeat(first, counts)
    begin = np.repeat(first * (1 + width), counts)
    words[begin + within] = starts_us
    at = begin + np.repeat(counts, counts) + within * width
    words[at[:, None] + np.arange(width)] = rows
    return words
