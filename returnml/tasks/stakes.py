"""What is at stake where a feature tells it: whole cents, the same in SQL and in arrays."""

from __future__ import annotations

import numpy as np


def cents_sql(feature: str) -> str:
    """SQL of a feature's column (FLOAT) as cents; missing is 0."""
    return f"coalesce(floor({feature}::DOUBLE + 0.5), 0)::BIGINT"


def cents(values: np.ndarray) -> np.ndarray:
    """int64 of a float32 column; missing is 0.

    >>> cents(np.array([2.5, 1249.49, float("nan")], np.float32)).tolist()
    [3, 1249, 0]
    """
    rounded = np.floor(values.astype(np.float64) + 0.5)
    return np.where(np.isfinite(rounded), rounded, 0.0).astype(np.int64)
