"""From each tile's own measures to the rows that are stored: of a tile and of all of its key's after it (see ``arithmetic``)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from returnml.features.declarations import Operation
from returnml.features.tiles.arithmetic import (
    LOW_BITS,
    NULL,
    GroupLayout,
    TileError,
)

LIMBS, LIMB_BITS = 4, 31
"""A sum of squares is added up in so many parts of so many bits: their totals fit int64."""
_ADDITIVE = {Operation.COUNT, Operation.SUM, Operation.DISTINCT}


def suffixes(layout: GroupLayout, first: np.ndarray, tiles: Mapping[str, np.ndarray]) -> np.ndarray:
    """Turn per-tile measures of many keys into rows, each of its tile and all of the key's after it.

    Args:
        layout: of the group.
        first: int64, shape (keys,): index of each key's first tile; every key has one at least.
        tiles: by ``Measure.name`` the measure of each tile alone: int64, shape (n,), ``NULL`` where missing. Of
            ``SUM_OF_SQUARES`` shape (LIMBS, n), limbs of ``LIMB_BITS``, lowest first. Of ``DISTINCT`` the number of values that
            occur in this tile and not in any later one of the key.

    Returns:
        int64, shape (n, row_width).

    Raises:
        TileError: where a total would leave its bits.
    """
    n = np.shape(tiles[layout.measures[0].name])[-1]
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
    return rows


def _suffix_sum(values: np.ndarray, first: np.ndarray, counts: np.ndarray, name: str) -> np.ndarray:
    """Sum over a key's tiles from each one on. Differences of wrapping int64 totals are exact below 2**62."""
    if len(first) and np.add.reduceat(np.abs(values.astype(np.float64)), first).max() >= 2.0**LOW_BITS:
        raise TileError(f"{name}: a total needs more than {LOW_BITS} bits")
    total = np.cumsum(values)
    last = first + counts - 1
    return np.repeat(total[last], counts) - total + values


def _suffix_sum_of_limbs(limbs: np.ndarray, first: np.ndarray, counts: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    sums = [_suffix_sum(limb, first, counts, name) for limb in limbs]
    for lower in range(LIMBS - 1):
        sums[lower + 1] += sums[lower] >> LIMB_BITS
        sums[lower] &= (1 << LIMB_BITS) - 1
    if len(first) and sums[-1].max() >= 1 << (LIMB_BITS - 1):
        raise TileError(f"{name}: a total needs more than 123 bits")
    return sums[2] | sums[3] << LIMB_BITS, sums[0] | sums[1] << LIMB_BITS


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
