"""The values that ``distinct`` has counted, kept beside a key's rows.

A number of different values cannot be added up from two numbers: the values are listed, each with the start of its last
tile, in a value of their own, in the generation and in the live part alike::

    for each DISTINCT measure:  n, value_1 ... value_n (ascending), start_1 ... start_n

Pure arithmetic on integers and bytes. Must not be here: databases, stores, keys.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

import numpy as np

from returnml.features.tiles.arithmetic import (
    NULL,
    Cut,
    GroupLayout,
)

Pairs = tuple[np.ndarray, np.ndarray]
"""Values, ascending, and the starts of their last tiles: int64."""


def encode_lists(lists: Sequence[Sequence[tuple[int, int]]]) -> bytes:
    """Pack (value, start of its last tile) pairs, ascending by value, of each ``distinct`` measure."""
    words = array("q")
    for pairs in lists:
        words.append(len(pairs))
        words.extend(value for value, _ in pairs)
        words.extend(start for _, start in pairs)
    return words.tobytes()


def decode_lists(layout: GroupLayout, listed: bytes | memoryview | None) -> list[Pairs]:
    """The pairs of each ``distinct`` measure."""
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


def merge_lists(
    layout: GroupLayout, cut: Cut, listed: Sequence[bytes | None], added: Sequence[Sequence[Mapping[int, int]]]
) -> list[bytes]:
    """Take new values into the lists of many keys; values that no window reaches any more are left out.

    Args:
        cut: of an instant that no request will be before.
        listed: the lists of each key, None where there are none.
        added: for each key and measure, values with the starts of their last tiles, which are not before those listed.

    Returns:
        The lists of each key.
    """
    decoded = [decode_lists(layout, one) for one in listed]
    parts: list[list[bytes]] = [[] for _ in listed]
    for m in range(len(layout.distinct)):
        old = [lists[m] for lists in decoded]
        new = [maps[m] for maps in added]
        owner = np.repeat(np.tile(np.arange(len(listed)), 2), [*(len(v) for v, _ in old), *map(len, new)])
        values = np.concatenate([*(v for v, _ in old), *(np.array(list(one), np.int64) for one in new)])
        lasts = np.concatenate([*(at for _, at in old), *(np.array(list(one.values()), np.int64) for one in new)])
        order = np.lexsort((values, owner))  # stable: of a value's two entries the new one comes last
        owner, values, lasts = owner[order], values[order], lasts[order]
        kept = np.append((owner[1:] != owner[:-1]) | (values[1:] != values[:-1]), True)[: len(owner)]
        if not cut.keeps_older:
            kept &= lasts >= cut.oldest_us
        counts = np.bincount(owner[kept], minlength=len(listed))
        ends = (np.cumsum(counts) * 8).tolist()
        sizes, packed_values, packed_lasts = counts.astype("<i8").tobytes(), values[kept].tobytes(), lasts[kept].tobytes()
        begin = 0
        for k, end in enumerate(ends):
            parts[k] += [sizes[8 * k : 8 * k + 8], packed_values[begin:end], packed_lasts[begin:end]]
            begin = end
    return [b"".join(one) for one in parts]


def count_new(
    layout: GroupLayout, published: bytes | None, listed: bytes | None, asked: Sequence[tuple[int, int | None]]
) -> list[int]:
    """How many values of a key's live part the generation has not counted.

    Args:
        published, listed: the lists of the generation and of the live part.
        asked: positions in ``GroupLayout.distinct``, each with the start of a window; None for ``lifetime``.

    Returns:
        One number for each that is asked for.
    """
    new = []
    for (values, lasts), (known, known_lasts) in zip(decode_lists(layout, listed), decode_lists(layout, published), strict=True):
        before = np.full(len(values), NULL)
        if len(known):
            at = np.searchsorted(known, values)
            at[at == len(known)] = 0
            is_known = known[at] == values
            before[is_known] = known_lasts[at[is_known]]
        new.append((lasts, before))
    found = []
    for i, start_us in asked:
        lasts, before = new[i]
        first = NULL + 1 if start_us is None else start_us
        found.append(int(np.count_nonzero((lasts >= first) & (before < first))))
    return found
