"""From stored values to words: the blocks of a line's keys side by side, and where in them each aggregate lies.

A block is what one key contributes, equally long for all keys of a group: of heads the words of a day and a row for
each window in minutes and hours, of tiles a row for each window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from operator import itemgetter

import numpy as np

from returnml.features.declarations import Aggregate, KeyGroup, Operation
from returnml.features.feature_set import FeatureSet
from returnml.features.tiles.arithmetic import (
    NULL,
    WORD,
    GroupLayout,
    first_start,
)
from returnml.features.tiles.heads import (
    DAYS,
    HeadLayout,
)
from returnml.features.windows import DAY_US
from returnml.store.backend import Values

Starts = Sequence[int | None]
"""Of windows; None for ``lifetime``."""
GroupKeys = Sequence[Sequence[bytes]]
"""By group the key of each line."""


class Group:
    """One group of a feature set, as a store holds it.

    Attributes:
        number: of the group in the store.
        null: in place of the key of a line that has none; keys begin with it.
        parts: takes it and the key columns' parts from a mapping, in the order of a key.
        windows: those that the feature set asks for, longest first: the searched tile only moves forward, but where
            hours begin before a shorter window of days.
        short: those in minutes and hours.
    """

    def __init__(self, declared: KeyGroup, number: int, layout: GroupLayout) -> None:
        self.name = declared.name
        self.key_columns = declared.keys
        self.number = number
        self.null = bytes([number])
        self.parts = itemgetter(self.null, *declared.keys)
        self.layout = layout
        windows = dict.fromkeys(aggregate.window for aggregate in declared.aggregates())
        self.windows = tuple(sorted(windows, key=lambda w: -(w.length_us or 1 << 62)))
        self.short = tuple(w for w in self.windows if w.hop_us < DAY_US)

    @cached_property
    def heads(self) -> HeadLayout:
        return HeadLayout(self.layout)


class Arrangement:
    """Where each aggregate lies in the blocks of a line, group after group.

    Args:
        empties: of each group the block of a key without events.
        word_of: where in its group's block an aggregate begins.
    """

    def __init__(
        self,
        feature_set: FeatureSet,
        groups: Sequence[Group],
        empties: Sequence[bytes],
        word_of: Callable[[Group, Aggregate], int],
    ) -> None:
        self.empties = list(empties)
        self.nulls = {g.null: np.full(len(e) // WORD, NULL, "<i8").tobytes() for g, e in zip(groups, empties, strict=True)}
        begins = (np.cumsum([0, *map(len, empties)]) // WORD).tolist()
        self._width = begins[-1]
        at = {group.name: (group, begin) for group, begin in zip(groups, begins, strict=False)}
        index, low = [], []
        for aggregate in feature_set.aggregates:
            group, begin = at[aggregate.group.name]
            index.append(begin + word_of(group, aggregate))
            if aggregate.aggregation.operation is Operation.SUM_OF_SQUARES:
                low.append(index[-1] + 1)
        self._index = np.array(index + low, np.intp)

    def side_by_side(self, columns: GroupKeys, blocks: dict[bytes, bytes]) -> np.ndarray:
        """The words of blocks by key; keys that have none are without events."""
        get, empties = blocks.get, self.empties
        return self.words(
            [get(key, empty) for of_line in zip(*columns, strict=True) for key, empty in zip(of_line, empties, strict=True)]
        )

    def words(self, blocks: Sequence[bytes]) -> np.ndarray:
        """int64, shape (aggregates + wide ones, lines), from each line's blocks, line after line."""
        return np.frombuffer(b"".join(blocks), "<i8").reshape(-1, self._width).take(self._index, 1).T


class HeadBlocks:
    """Of a generation's heads."""

    def __init__(self, feature_set: FeatureSet, groups: Sequence[Group]) -> None:
        empties = [group.heads.empty for group in groups]
        self._parts = [[group.heads.of_day(day) for group in groups] for day in range(DAYS)]
        self._short: list[tuple[int, HeadLayout, GroupLayout, list[slice], bytes]] = []
        for g, group in enumerate(groups):
            recent = group.heads.recent
            if recent is not None and group.short:
                none = recent.empty_row * len(group.short)
                empties[g] += none
                self._short.append((g, group.heads, recent, [parts[g] for parts in self._parts], none))
                for parts in self._parts:
                    parts[g] = slice(None)
        self._arrangement = Arrangement(feature_set, groups, empties, _word_in_head)

    def words(self, columns: GroupKeys, keys: Sequence[bytes], values: Values, day: int, short: Sequence[Starts]) -> np.ndarray:
        """int64, shape (aggregates + wide ones, lines).

        Args:
            values: the heads of ``keys``.
            day: of the request, 0 for the heads' first.
            short: by group the starts of its windows in minutes and hours.
        """
        found = dict(zip(keys, values, strict=True))
        for g, heads, recent, parts, none in self._short:
            for key in dict.fromkeys(columns[g]):
                head = found.get(key)
                if head is not None:
                    of_day = head[parts[day]]
                    found[key] = of_day + (none if of_day is head else b"".join(heads.recent_rows(recent, head, short[g])))
        found.update(self._arrangement.nulls)
        get, empties, parts = found.get, self._arrangement.empties, self._parts[day]
        return self._arrangement.words(
            [
                (get(key) or empty)[part]
                for of_line in zip(*columns, strict=True)
                for key, empty, part in zip(of_line, empties, parts, strict=True)
            ]
        )


class TileBlocks:
    """Of tiles: a row for each window."""

    def __init__(self, feature_set: FeatureSet, groups: Sequence[Group]) -> None:
        self._layouts = {group.number: (g, group.layout) for g, group in enumerate(groups)}
        empties = [group.layout.empty_row * len(group.windows) for group in groups]
        self._arrangement = Arrangement(feature_set, groups, empties, _word_in_rows)

    def words(
        self, columns: GroupKeys, keys: Sequence[bytes], values: Values, starts: Sequence[Starts], is_published: bool
    ) -> np.ndarray:
        """int64, shape (aggregates + wide ones, lines).

        Args:
            values: the tiles of ``keys``.
            starts: by group those of its windows.
            is_published: whether a line without a key has missing values; else those of a key without events.
        """
        blocks = dict(self._arrangement.nulls) if is_published else {}
        for key, value in zip(keys, values, strict=True):
            if value is not None:
                g, layout = self._layouts[key[0]]
                blocks[key] = b"".join(layout.read(value, starts[g]))
        return self._arrangement.side_by_side(columns, blocks)


class LatestBlocks:
    """Of live tiles before which all windows in days begin, as they do as a rule: one row serves all of these, in front of
    a row for each window in minutes and hours."""

    def __init__(self, feature_set: FeatureSet, groups: Sequence[Group]) -> None:
        self._layouts = {
            group.number: (g, group.layout, WORD * (1 + group.layout.row_width), WORD * group.layout.row_width)
            for g, group in enumerate(groups)
        }
        empties = [group.layout.empty_row * (1 + len(group.short)) for group in groups]
        self._arrangement = Arrangement(feature_set, groups, empties, _word_in_latest)

    def words(
        self, columns: GroupKeys, keys: Sequence[bytes], values: Values, short: Sequence[Starts], last_day_us: int
    ) -> np.ndarray | None:
        """int64, shape (aggregates + wide ones, lines), a line without a key as one without events; None where a tile
        starts before ``last_day_us``.

        Args:
            values: the tiles of ``keys``.
            short: by group the starts of its windows in minutes and hours.
        """
        blocks: dict[bytes, bytes] = {}
        for key, value in zip(keys, values, strict=True):
            if value:  # empty: all of the key's tiles lie before its windows, as if it had none
                if first_start(value) < last_day_us:
                    return None
                g, layout, tile, row = self._layouts[key[0]]
                first = WORD * (len(value) // tile)
                block = value[first : first + row]
                blocks[key] = block + b"".join(layout.read(value, short[g])) if short[g] else block
        return self._arrangement.side_by_side(columns, blocks)


def _word_in_head(group: Group, aggregate: Aggregate) -> int:
    if aggregate.window.hop_us == DAY_US:
        return group.heads.word_of(aggregate)
    assert group.heads.recent is not None
    return group.heads.width + group.heads.recent.word_of(aggregate, group.short)


def _word_in_rows(group: Group, aggregate: Aggregate) -> int:
    return group.layout.word_of(aggregate, group.windows)


def _word_in_latest(group: Group, aggregate: Aggregate) -> int:
    if aggregate.window.hop_us == DAY_US:
        return group.layout.measure_of(aggregate).offset
    return group.layout.row_width + group.layout.word_of(aggregate, group.short)
