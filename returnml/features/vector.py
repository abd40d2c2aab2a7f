"""From raw aggregates to the model's input: the one code path of batch and serving.

Raw values arrive as float64 arrays (an exact integer, or NaN for missing); derived features are evaluated on them;
the result is cast to float32 once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from returnml.features.declarations import FeatureDeclarations
from returnml.features.expressions import evaluate


def assemble(feature_set: FeatureDeclarations, raw: Mapping[str, np.ndarray]) -> np.ndarray:
    """Compute the vectors.

    Args:
        feature_set: the declarations.
        raw: for each of ``feature_set.raw_names`` a float64 array of the same length n.

    Returns:
        float32, shape (n, len(feature_set.outputs)), C order.

    Raises:
        KeyError: naming the raw input that is absent. Missing is not zero.
    """
    columns: dict[str, np.ndarray] = {name: raw[name] for name in feature_set.raw_names}
    for derived in feature_set.derived:
        columns[derived.name] = evaluate(derived.expr, columns)
    rows = len(columns[feature_set.raw_names[0]])
    out = np.empty((rows, len(feature_set.outputs)), np.float32)
    with np.errstate(over="ignore"):
        for j, name in enumerate(feature_set.outputs):
            out[:, j] = columns[name]
    return out
