"""Some of many rows, the same ones whenever they are asked for."""

from __future__ import annotations

import numpy as np


def evenly_spread(rows: int, most: int) -> np.ndarray:
    """Numbers of at most ``most`` of so many rows, the first and the last among them: int64, ascending.

    >>> evenly_spread(10, 4).tolist(), evenly_spread(3, 4).tolist()
    ([0, 3, 6, 9], [0, 1, 2])
    """
    return np.unique(np.linspace(0, rows - 1, min(most, rows)).astype(int))
