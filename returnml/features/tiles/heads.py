"""Heads: what a key's windows are worth to the requests of two days, worked out when its tiles are made.

Windows in days move at midnight only. For one key of a group a head holds, as 64-bit words::

    first day      ``width`` words: of the cut-off's day, each measure that a window in days (or ``lifetime``) asks for
    recent tiles   starts, then rows, as in ``features.tiles``: those of five minutes, and of their rows the measures
                   that windows in minutes and hours ask for
    second day     ``width`` words: of the day after

Where there are no recent tiles and both days are alike, they stand there once: the first words are always those of
the first day, the last ones those of the second. Requests of later days are answered from the tiles.

Pure arithmetic on integers and bytes. Must not be here: databases, stores, keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from returnml.features.declarations import Aggregate
from returnml.features.tiles.arithmetic import (
    WORD,
    GroupLayout,
    places,
)
from returnml.features.windows import DAY_US, Window, floor_day

DAYS = 2
"""How many days' requests are answered from heads; the cut-off's is the first."""


class HeadLayout:
    """The words of one group's heads.

    One key, two tiles, one window. The customer ordered once on Monday and twice on Tuesday; a row aggregates its tile and those
    after it, so the rows are 3 and 2. The cut-off is Tuesday noon. ``1d`` begins with the day before the request's: it is worth
    3 on Tuesday and 2 on Wednesday. The days differ, so both stand there:

    >>> from returnml.features.declarations import Aggregation, KeyGroup, Operation, Stream
    >>> count = Aggregation(Stream("orders", "core.orders", {}), Operation.COUNT, None, (Window.parse("1d"),))
    >>> heads = HeadLayout(GroupLayout(KeyGroup("customer", ("customer_id",), (count,))))
    >>> monday, tuesday = 4 * DAY_US, 5 * DAY_US
    >>> starts, rows = np.array([monday, tuesday]), np.array([[3], [2]])
    >>> words, ends = heads.encode(np.array([0]), starts, rows, cut_off_us=tuesday + DAY_US // 2)
    >>> words.tolist(), ends.tolist()
    ([3, 2], [2])

    Attributes:
        width: words of one day.
        recent: the layout of the recent tiles; None where no window is in minutes or hours.
    """

    def __init__(self, layout: GroupLayout) -> None:
        self._layout = layout
        self._at: dict[tuple[int, Window], int] = {}
        self._columns: dict[Window, list[tuple[int, int]]] = {}
        self.width = 0
        for aggregate in layout.group.aggregates():
            measure, window = layout.measure_of(aggregate), aggregate.window
            if window.hop_us == DAY_US and (measure.offset, window) not in self._at:
                self._at[measure.offset, window] = self.width
                for word in range(measure.offset, measure.offset + measure.words):
                    self._columns.setdefault(window, []).append((self.width, word))
                    self.width += 1
        short = {a: tuple(w for w in a.windows if w.hop_us < DAY_US) for a in layout.group.aggregations}
        recent = tuple(replace(a, windows=windows) for a, windows in short.items() if windows)
        self.recent = GroupLayout(replace(layout.group, aggregations=recent)) if recent else None

    def word_of(self, aggregate: Aggregate) -> int:
        """Where the value of an aggregate over days starts in the words of a day."""
        return self._at[self._layout.measure_of(aggregate).offset, aggregate.window]

    @cached_property
    def empty(self) -> bytes:
        """The words of a day for a key without events."""
        return self._words({}, 1).tobytes()

    def of_day(self, day: int) -> slice:
        """The bytes of a head that hold the words of the first day (0) or the second (1)."""
        size = WORD * self.width
        return slice(-size, None) if day and size else slice(0, size)

    def recent_rows(self, recent: GroupLayout, head: bytes, starts_us: Sequence[int | None]) -> list[bytes]:
        """The rows of windows in minutes and hours, see ``GroupLayout.read``."""
        size = WORD * self.width
        return recent.read(head[size : len(head) - size] or None, starts_us)

    def encode(
        self, first: np.ndarray, starts_us: np.ndarray, rows: np.ndarray, cut_off_us: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The heads of many keys.

        Args:
            first: int64, shape (keys,): index of each key's first tile; every key has one at least.
            starts_us: int64, shape (n,): tile starts, ascending within a key.
            rows: int64, shape (n, row_width): as ``suffixes`` gives them.
            cut_off_us: of the tiles.

        Returns:
            int64, the heads one after the other; and shape (keys,): where each ends, in words.
        """
        counts = np.diff(np.append(first, len(starts_us)))
        today = floor_day(cut_off_us)
        days = [self._day(first, counts, starts_us, rows, today + day * DAY_US) for day in range(DAYS)]
        recent_us, width, recents = self._layout.cut(cut_off_us).recent_us, 0, np.zeros(len(first), np.int64)
        if self.recent is not None:
            is_recent = starts_us >= recent_us
            width = 1 + self.recent.row_width
            recents = np.add.reduceat(is_recent.astype(np.int64), first) if len(first) else recents
        is_long = (recents > 0) | (days[0] != days[1]).any(axis=1)
        ends = np.cumsum(self.width + np.where(is_long, recents * width + self.width, 0))
        words = np.empty(ends[-1] if len(ends) else 0, "<i8")
        begins = np.append(0, ends)[:-1]
        across = np.arange(self.width)
        words[begins[:, None] + across] = days[0]
        words[ends[:, None] - self.width + across] = days[1]
        if self.recent is not None:
            starts_at, rows_at = places(self.recent.row_width, begins + self.width, recents)
            words[starts_at] = starts_us[is_recent]
            words[rows_at] = rows[is_recent][:, self._recent_words(self.recent)]
        return words, ends

    def _day(self, first: np.ndarray, counts: np.ndarray, starts_us: np.ndarray, rows: np.ndarray, day_us: int) -> np.ndarray:
        found = {}
        for window in self._columns:
            start_us = window.start_us(day_us)
            before = np.zeros(len(first), np.int64)
            if start_us is not None and len(first):
                before = np.add.reduceat((starts_us < start_us).astype(np.int64), first)
            is_empty = before == counts
            found[window] = rows[first + np.where(is_empty, 0, before)]
            found[window][is_empty] = np.frombuffer(self._layout.empty_row, "<i8")
        return self._words(found, len(first))

    def _words(self, rows: dict[Window, np.ndarray], keys: int) -> np.ndarray:
        """The words of a day, int64, shape (keys, width), from the row of each window, an empty one where there is none."""
        words = np.empty((keys, self.width), "<i8")
        for window, columns in self._columns.items():
            row = rows.get(window, np.frombuffer(self._layout.empty_row, "<i8")[None])
            to, of = zip(*columns, strict=True)
            words[:, to] = row[:, of]
        return words

    def _recent_words(self, recent: GroupLayout) -> list[int]:
        """The words of a row that a recent tile's row has."""
        at = {(m.stream, m.operation, m.column): m.offset for m in self._layout.measures}
        return [at[m.stream, m.operation, m.column] + word for m in recent.measures for word in range(m.words)]
