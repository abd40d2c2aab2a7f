"""Tile arithmetic of the online engine: what is stored for one key, and how a window is read from it.

For one key of a group the store holds its tiles (those with events, ascending) as 64-bit words::

    start_0 ... start_{n-1}        starts of the tiles, microseconds since the epoch
    row_0   ... row_{n-1}          row_width words each

Row ``i`` aggregates *every* event of tile ``i`` **and after it**. A request is never older than the generation's
cut-off, so that each window reaches to the end of the tiles: its value is the row of the first tile that starts in
it, for sums and for min, max, last and distinct alike. Reading is one search and one slice, nothing is subtracted.

A tile is a UTC day, or five minutes as far back as a window in minutes or hours can reach (``Cut``). No tile lies on both
sides of a window's start: a window in days starts with a day, and both kinds of tiles lie within one; a shorter
window starts with five minutes at or after the first such tile, where the day tile of the same day ends.

Pure arithmetic on integers and bytes. Must not be here: databases, stores, keys.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from returnml.errors import Refusal
from returnml.features.declarations import Aggregate, KeyGroup, Operation
from returnml.features.windows import DAY_US, FIVE_MINUTES_US, Window, floor_day, floor_five_minutes

NULL = -(1 << 63)
"""The word of a missing value. No stored measure reaches it: magnitudes are checked to stay below 2**62."""

WORD = 8
_START = struct.Struct("<q")
LOW_BITS = 62
"""Of the low word of a value that has two; totals of one word stay below."""
_HOPS = (DAY_US, FIVE_MINUTES_US)


class TileError(Refusal):
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
    is_text: bool = False

    @property
    def name(self) -> str:
        return "_".join(part for part in (self.stream, self.column, self.operation) if part)

    @property
    def words(self) -> int:
        return 2 if self.operation is Operation.SUM_OF_SQUARES else 1

    @property
    def is_zero_without_events(self) -> bool:
        return self.operation.is_invertible or self.operation is Operation.DISTINCT


@dataclass(frozen=True)
class Cut:
    """Where a key's history is cut into tiles, once no request is before a given instant.

    Attributes:
        recent_us: tiles are five minutes from here on; None: all are days.
        oldest_us: what is older is one tile at most, which serves ``lifetime``.
        keeps_older: whether there is such a tile; else what is older is left out.
    """

    recent_us: int | None
    oldest_us: int
    keeps_older: bool

    @property
    def older_us(self) -> int:
        """The start given to the tile of all that is older."""
        return self.oldest_us - DAY_US

    def starts(self, starts_us: np.ndarray) -> np.ndarray:
        """The starts that tiles (int64, shape (n,)) have after an instant has passed; ``NULL`` where they are left out."""
        found = np.where(starts_us >= self.oldest_us, starts_us // DAY_US * DAY_US, self.older_us if self.keeps_older else NULL)
        return found if self.recent_us is None else np.where(starts_us >= self.recent_us, starts_us, found)


class GroupLayout:
    """The words of one group's rows, derived from its declarations."""

    def __init__(self, group: KeyGroup) -> None:
        self.group = group
        found: dict[tuple[Any, ...], Measure] = {}
        width = 0
        windows: dict[Window, None] = {}
        for aggregate in group.aggregates():
            a = aggregate.aggregation
            key = (a.stream.name, a.operation, a.column)
            if key not in found:
                found[key] = Measure(*key, offset=width, is_text=a.is_text)
                width += found[key].words
            windows[aggregate.window] = None
        self.measures = tuple(found.values())
        self.row_width = width
        self.windows = tuple(windows)
        self._by_key = found

    @cached_property
    def distinct(self) -> tuple[Measure, ...]:
        """The measures whose values are listed beside the rows (see ``value_lists``)."""
        return tuple(m for m in self.measures if m.operation is Operation.DISTINCT)

    @cached_property
    def keeps_lifetime(self) -> bool:
        return any(window.length_us is None for window in self.windows)

    @cached_property
    def hop_us(self) -> int:
        """The length of the newest tiles."""
        return min(window.hop_us for window in self.windows)

    def cut(self, at_us: int) -> Cut:
        """The tiles that any request from ``at_us`` on can be answered from."""
        longest = {hop: max((w.length_us or 0 for w in self.windows if w.hop_us == hop), default=None) for hop in _HOPS}
        days, slots = longest[DAY_US], longest[FIVE_MINUTES_US]
        recent_us = None if slots is None else floor_five_minutes(at_us) - slots
        reached = [] if days is None else [floor_day(at_us) - days]
        reached += [] if recent_us is None else [recent_us]
        return Cut(recent_us, min(reached), self.keeps_lifetime)

    @cached_property
    def empty_row(self) -> bytes:
        """The row of a window without events: counts and sums 0, the others missing."""
        row = np.full(self.row_width, NULL, "<i8")
        for measure in self.measures:
            if measure.is_zero_without_events:
                row[measure.offset : measure.offset + measure.words] = 0
        return row.tobytes()

    def measure_of(self, aggregate: Aggregate) -> Measure:
        """What a row holds for an aggregate."""
        a = aggregate.aggregation
        return self._by_key[(a.stream.name, a.operation, a.column)]

    def word_of(self, aggregate: Aggregate, windows: Sequence[Window]) -> int:
        """Where an aggregate's value starts in ``read`` of one key at the starts of ``windows``."""
        return windows.index(aggregate.window) * self.row_width + self.measure_of(aggregate).offset

    def as_data(self) -> list[Any]:
        """What a generation's manifest says about the group; a reader refuses any other."""
        measures = [[m.name, m.words] for m in self.measures]
        return [self.group.name, list(self.group.keys), measures, sorted(w.name for w in self.windows)]

    def read(self, value: bytes | None, starts_us: Sequence[int | None]) -> list[bytes]:
        """The rows of one key.

        Args:
            value: as stored; None for an unknown key.
            starts_us: the start of each window that is asked for; None for ``lifetime``. Ascending ones are
                found fastest.

        Returns:
            For each window the bytes of one row, ``row_width`` words.
        """
        if value is None:
            return [self.empty_row] * len(starts_us)
        size = WORD * self.row_width
        tiles = len(value) // (WORD + size)
        starts = memoryview(value).cast("q")
        rows: list[bytes] = []
        first = WORD * tiles
        i, before = 0, NULL
        for start_us in starts_us:
            if start_us is None:
                i = 0
            else:
                if start_us < before:
                    i = 0
                before = start_us
                if i < tiles and starts[i] < start_us:
                    i = tiles if starts[tiles - 1] < start_us else bisect_left(starts, start_us, i + 1, tiles)
            if i == tiles:
                rows.append(self.empty_row)
            else:
                begin = first + i * size
                rows.append(value[begin : begin + size])
        return rows


def first_start(value: bytes) -> int:
    """The start of a stored value's first tile."""
    [start_us] = _START.unpack_from(value)
    return int(start_us)


def interleave(width: int, counts: np.ndarray, starts_us: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The values of many keys, one after the other, from all their tiles and the number of each key's.

    Returns:
        int64; a key's value is ``counts[k] * (1 + width)`` words.
    """
    words = np.empty(len(starts_us) * (1 + width), "<i8")
    starts_at, rows_at = places(width, _begins(width, counts), counts)
    words[starts_at] = starts_us
    words[rows_at] = rows
    return words


def separate(width: int, counts: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tiles' starts and rows from the values of many keys, one after the other: what ``interleave`` was given."""
    starts_at, rows_at = places(width, _begins(width, counts), counts)
    return words[starts_at], words[rows_at]


def _begins(width: int, counts: np.ndarray) -> np.ndarray:
    return (np.cumsum(counts) - counts) * (1 + width)


def places(width: int, begins: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each tile the words that hold its start, shape (n,), and its row, shape (n, width).

    Args:
        begins: the word at which each key's value begins.
        counts: of each key's tiles.
    """
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    begin = np.repeat(begins, counts)
    at = begin + np.repeat(counts, counts) + within * width
    return begin + within, at[:, None] + np.arange(width)
