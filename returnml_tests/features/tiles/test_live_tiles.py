"""Live tiles: five minutes as far back as needed, days before, and values that are forgotten when no window reaches them."""

import pytest

from returnml.features.declarations import Aggregation, KeyGroup, Operation, Stream
from returnml.features.text_codes import text_code
from returnml.features.tiles.arithmetic import (
    GroupLayout,
    TileError,
)
from returnml.features.tiles.live_tiles import (
    LiveGroup,
    LiveTiles,
)
from returnml.features.tiles.value_lists import decode_lists
from returnml.features.windows import DAY_US, FIVE_MINUTES_US, Window

EVENTS = Stream("events", "core.events", {"value": 62}, texts=("method",))
NOON = 20_000 * DAY_US + DAY_US // 2
KEY = ("a",)


def layout_of(*names):
    windows = tuple(Window.parse(name) for name in names)
    aggregations = (
        Aggregation(EVENTS, Operation.COUNT, None, windows),
        Aggregation(EVENTS, Operation.SUM, "value", windows),
        Aggregation(EVENTS, Operation.DISTINCT, "method", windows),
    )
    return GroupLayout(KeyGroup("k", ("key",), aggregations))


def apply(layout, batches):
    """The stored value and lists after batches of (known_at, value, method)."""
    value = listed = None
    for batch in batches:
        tiles = LiveTiles(LiveGroup(layout))
        for at_us, amount, method in batch:
            tiles.add(KEY, "events", at_us, {"value": amount, "method": method})
        [value], [listed] = tiles.merged([value]), tiles.merged_lists([listed])
    return value, listed


def starts_of(layout, value):
    words = memoryview(value).cast("q")
    return words[: len(words) // (1 + layout.row_width)].tolist()


def counts_of(layout, value, at_us):
    rows = layout.read(memoryview(value), [window.start_us(at_us) for window in layout.windows])
    return [memoryview(row).cast("q")[0] for row in rows]


def test_five_minutes_become_days_when_no_short_window_reaches_them():
    layout = layout_of("1h", "2d")
    last = NOON + 3 * FIVE_MINUTES_US + 7
    edge = NOON + 3 * FIVE_MINUTES_US - 12 * FIVE_MINUTES_US
    known = [NOON - DAY_US, edge - 2 * FIVE_MINUTES_US, edge - 1, edge, edge + 1, last]
    value, _ = apply(layout, [[(at, 1, None)] for at in known])
    today = NOON // DAY_US * DAY_US
    assert starts_of(layout, value) == [today - DAY_US, today, edge, last // FIVE_MINUTES_US * FIVE_MINUTES_US]
    assert counts_of(layout, value, last + 1) == [3, 6]


def test_what_no_window_reaches_is_left_out():
    layout = layout_of("10m")
    value, listed = apply(layout, [[(NOON + n * FIVE_MINUTES_US, 1, f"m{n % 7}")] for n in range(100)])
    assert len(starts_of(layout, value)) == 3
    [(values, lasts)] = decode_lists(layout, listed)
    assert values.tolist() == sorted(text_code(f"m{n % 7}") for n in (97, 98, 99))
    assert sorted(lasts.tolist()) == starts_of(layout, value)


def test_lifetime_keeps_what_is_older_as_one_tile():
    layout = layout_of("1h", "2d", "lifetime")
    value, listed = apply(layout, [[(NOON + n * DAY_US, 1, "card")] for n in range(10)])
    today = NOON // DAY_US * DAY_US + 9 * DAY_US
    newest = NOON + 9 * DAY_US
    assert starts_of(layout, value) == [today - 3 * DAY_US, today - 2 * DAY_US, today - DAY_US, newest]
    assert counts_of(layout, value, newest + 1) == [1, 3, 10]
    assert [pairs.tolist() for pairs in decode_lists(layout, listed)[0]] == [[text_code("card")], [newest]]


def test_many_keys_of_one_batch_do_not_mix():
    layout = layout_of("1h", "lifetime")
    tiles = LiveTiles(LiveGroup(layout))
    for n in range(30):
        tiles.add((f"k{n % 3}",), "events", NOON + n * FIVE_MINUTES_US, {"value": n, "method": None})
    first = tiles.merged([None] * 3)
    tiles.clear()
    tiles.add(("k1",), "events", NOON + 30 * FIVE_MINUTES_US, {"value": 100, "method": None})
    assert tiles.keys == [("k1",)]
    [again] = tiles.merged([first[1]])
    rows = [layout.read(memoryview(v), [None])[0] for v in (first[0], again, first[2])]
    assert [memoryview(row).cast("q")[:2].tolist() for row in rows] == [[10, 135], [11, 245], [10, 155]]


def test_a_total_beyond_its_bits_is_refused():
    layout = layout_of("1h")
    with pytest.raises(TileError, match=r"k\.events_value_sum: a total needs more than 62 bits"):
        apply(layout, [[(NOON, 1 << 61, None)], [(NOON, 1 << 61, None)]])
