"""Encoding of tiles: exact words, and suffixes against loops."""

import numpy as np
import pytest

from returnml.features.declarations import Aggregation, KeyGroup, Operation, Stream
from returnml.features.tiles import NULL, GroupLayout, TileError, encode
from returnml.features.windows import DAY_US, Window

STREAM = Stream("s", "core.s", {"v": 61})


def layout_of(*operations, windows=("1d", "lifetime")):
    parsed = tuple(Window.parse(w) for w in windows)
    columns = {Operation.COUNT: None, Operation.SINCE_LAST: None}
    return GroupLayout(KeyGroup("g", ("k",), tuple(Aggregation(STREAM, o, columns.get(o, "v"), parsed) for o in operations)))


def int64(*values):
    return np.array(values, np.int64)


def test_words_of_two_keys():
    layout = layout_of(Operation.COUNT, Operation.MAX)
    tiles = {"s_count": int64(1, 2, 4), "s_v_max": int64(7, NULL, NULL)}
    words = encode(layout, int64(0, 2), int64(0, DAY_US, DAY_US), tiles)
    first = [0, DAY_US, 3, 7, 2, NULL]
    assert words.tolist() == [*first, DAY_US, 4, NULL]
    value = memoryview(words[:6].tobytes())
    rows = layout.read(value, [None, DAY_US])
    assert [layout.windows[i].name for i in (0, 1)] == ["lifetime", "1d"]
    assert [np.frombuffer(r, "<i8").tolist() for r in rows] == [[3, 7], [2, NULL]]
    empty = [0, NULL]
    assert [np.frombuffer(r, "<i8").tolist() for r in layout.read(value, [None, DAY_US + 1])] == [[3, 7], empty]
    assert [np.frombuffer(r, "<i8").tolist() for r in layout.read(None, [None, 0])] == [empty, empty]


@pytest.mark.parametrize("seed", range(20))
def test_suffixes_equal_loops(seed):
    rng = np.random.default_rng(seed)
    operations = (Operation.SUM, Operation.MIN, Operation.MAX, Operation.LAST, Operation.SUM_OF_SQUARES)
    layout = layout_of(*operations)
    counts = rng.integers(1, 6, 5)
    first = np.cumsum(counts) - counts
    n = int(counts.sum())
    values = np.where(rng.random(n) < 0.3, NULL, rng.integers(-(2**40), 2**40, n))
    exact = [0 if v == NULL else int(v) ** 2 * 2**30 for v in values.tolist()]
    limbs = np.array([[x >> 31 * i & (1 << 31) - 1 for x in exact] for i in range(4)], np.int64)
    tiles = {f"s_v_{o}": values for o in operations} | {"s_v_sum_of_squares": limbs}
    words = encode(layout, first, np.arange(n, dtype=np.int64), tiles)
    for begin, count in zip(first.tolist(), counts.tolist(), strict=True):
        value = memoryview(words[begin * 7 : (begin + count) * 7].tobytes())
        for i in range(count):
            [row] = layout.read(value, [begin + i])
            inside = [v for v in values[begin + i : begin + count].tolist() if v != NULL]
            total = sum(exact[begin + i : begin + count])
            assert np.frombuffer(row, "<i8").tolist() == [
                sum(inside),
                min(inside, default=NULL),
                max(inside, default=NULL),
                inside[-1] if inside else NULL,
                total >> 62,
                total & (1 << 62) - 1,
            ]


def test_a_total_beyond_its_bits_is_refused():
    layout = layout_of(Operation.SUM)
    with pytest.raises(TileError, match=r"g\.s_v_sum: a total needs more than 62 bits"):
        encode(layout, int64(0), int64(0, 1), {"s_v_sum": int64(2**61, 2**61)})


def test_no_keys_at_all():
    layout = layout_of(*Operation)
    none = int64()
    tiles = {m.name: none for m in layout.measures} | {"s_v_sum_of_squares": np.empty((4, 0), np.int64)}
    assert len(encode(layout, none, none, tiles)) == 0
