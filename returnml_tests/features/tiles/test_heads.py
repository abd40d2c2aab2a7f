"""Heads say at every instant of their two days what the tiles say."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from returnml.features.declarations import Aggregation, KeyGroup, Operation, Stream
from returnml.features.tiles.arithmetic import (
    GroupLayout,
    interleave,
)
from returnml.features.tiles.heads import (
    DAYS,
    HeadLayout,
)
from returnml.features.windows import DAY_US, FIVE_MINUTES_US, Window, floor_day

EVENTS = Stream("events", "core.events", {"value": 40})
NOON = 20_000 * DAY_US + DAY_US // 2
WINDOWS = st.lists(
    st.sampled_from(["5m", "1h", "24h", "30h", "1d", "2d", "30d", "lifetime"]), min_size=1, max_size=5, unique=True
)
AGES = st.one_of(
    st.integers(0, 400).map(lambda slots: slots * FIVE_MINUTES_US), st.integers(0, 33).map(lambda days: days * DAY_US + 1)
)


def layout_of(windows):
    parsed = tuple(Window.parse(name) for name in windows)
    columns = {Operation.COUNT: None, Operation.SUM_OF_SQUARES: "value", Operation.MIN: "value"}
    return GroupLayout(KeyGroup("k", ("key",), tuple(Aggregation(EVENTS, o, column, parsed) for o, column in columns.items())))


def tiles_of(layout, cut_off_us, ages, rng):
    """Keys with tiles as they are when everything that old is known at the cut-off; the words of their rows are any."""
    starts = []
    for of_key in ages:
        known_at = np.array(sorted(cut_off_us - 1 - age for age in of_key))
        slots = known_at // FIVE_MINUTES_US * FIVE_MINUTES_US
        cut = layout.cut(cut_off_us).starts(slots)
        starts.append(np.unique(cut[cut != -(1 << 63)]))
    starts = [of_key for of_key in starts if len(of_key)]
    counts = np.array([len(of_key) for of_key in starts], np.int64)
    all_starts = np.concatenate([np.empty(0, np.int64), *starts])
    return counts, all_starts, rng.integers(-(2**62), 2**62, (len(all_starts), layout.row_width))


def word(row, at):
    return np.frombuffer(row, "<i8")[at]


@settings(max_examples=150, deadline=None)
@given(
    windows=WINDOWS,
    cut_off=st.sampled_from([0, 1, DAY_US // 2, DAY_US // 2 + FIVE_MINUTES_US, DAY_US - 1]),
    ages=st.lists(st.lists(AGES, min_size=1, max_size=6), max_size=4),
    later=st.one_of(st.integers(0, 600).map(lambda slots: slots * FIVE_MINUTES_US), st.just(0)),
    seed=st.integers(0, 9),
)
def test_heads_equal_tiles(windows, cut_off, ages, later, seed):
    layout = layout_of(windows)
    heads, cut_off_us = HeadLayout(layout), NOON + cut_off - DAY_US // 2
    counts, starts, rows = tiles_of(layout, cut_off_us, ages, np.random.default_rng(seed))
    first = np.cumsum(counts) - counts
    words, ends = heads.encode(first, starts, rows, cut_off_us)
    at_us = cut_off_us + later
    day = (floor_day(at_us) - floor_day(cut_off_us)) // DAY_US
    if day >= DAYS:
        at_us, day = floor_day(cut_off_us) + DAYS * DAY_US - 1, DAYS - 1
    content, values = words.tobytes(), interleave(layout.row_width, counts, starts, rows).tobytes()
    unit = 8 * (1 + layout.row_width)
    for k, (begin, end) in enumerate(zip([0, *(ends * 8)], ends * 8, strict=False)):
        head, tiles = content[begin:end], values[first[k] * unit : (first[k] + counts[k]) * unit]
        for aggregate in layout.group.aggregates():
            start_us = aggregate.window.start_us(at_us)
            [row] = layout.read(tiles, [start_us])
            expected = word(row, layout.measure_of(aggregate).offset)
            if aggregate.window.hop_us == DAY_US:
                found = word(head[heads.of_day(day)], heads.word_of(aggregate))
            else:
                [recent] = heads.recent_rows(heads.recent, head, [start_us])
                found = word(recent, heads.recent.measure_of(aggregate).offset)
            assert found == expected, aggregate.name


def test_days_that_are_alike_stand_there_once():
    layout = layout_of(["1d", "30d"])
    heads, today = HeadLayout(layout), floor_day(NOON)
    starts = np.array([today - 2 * DAY_US, today - DAY_US])
    rows = np.arange(2 * layout.row_width).reshape(2, -1)
    _, ends = heads.encode(np.array([0]), starts[:1], rows[:1], NOON)
    assert ends.tolist() == [heads.width]
    _, ends = heads.encode(np.array([0]), starts, rows, NOON)
    assert ends.tolist() == [2 * heads.width]
