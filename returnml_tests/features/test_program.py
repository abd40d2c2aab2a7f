"""The compiled evaluation gives the bits of ``vector.assemble``."""

import numpy as np
import pytest

from returnml.features.declarations import Derived, InputKind, RequestInput
from returnml.features.expressions import sqrt, where
from returnml.features.feature_set import FeatureSet
from returnml.features.program import VectorProgram
from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.vector import assemble

INPUTS = tuple(RequestInput(name, InputKind.INTEGER, "", name) for name in "ab")


def derive(*functions):
    derived = tuple(Derived(f"d{i}", ("a", "b"), f) for i, f in enumerate(functions))
    return FeatureSet("test", 1, INPUTS, (), (), derived)


EVERY_OPERATION = derive(
    lambda a, b: a / b,
    lambda a, b: b / a - a * 3 + 1 / b,
    lambda a, b: sqrt(a - b) + sqrt(a) * 0.1,
    lambda a, b: where(a < b, a / b, where(a.equals(b), -1, b - a)),
    lambda a, b: where(a >= b, 1, 2) + where(a <= 0, a, b) * where(a > b, 0.3, b),
    lambda a, b: a,
    lambda a, b: where(a > b, a, a) * 1e200 * 1e200,
)
AWKWARD = [0.0, -0.0, 1.0, -1.0, 3.0, 1e300, -1e300, 2.0**60, np.nan, 5e-324]


@pytest.mark.parametrize("rows", [1, 5, 64])
@pytest.mark.parametrize("feature_set", [EVERY_OPERATION, ORDER_LINE], ids=["every_operation", "order_line"])
def test_equals_assemble_bit_for_bit(feature_set, rows):
    rng = np.random.default_rng(rows)
    program = VectorProgram(feature_set)
    for _ in range(40):
        raw = np.where(
            rng.random((len(feature_set.raw_names), rows)) < 0.3,
            rng.choice(AWKWARD, (len(feature_set.raw_names), rows)),
            rng.integers(-50, 1_000_000, (len(feature_set.raw_names), rows)),
        ).astype(np.float64)
        work = program.matrix(rows)
        work[: len(raw)] = raw
        expected = assemble(feature_set, dict(zip(feature_set.raw_names, raw, strict=True)))
        found = program.run(work)
        assert found.flags.c_contiguous
        assert found.tobytes() == expected.tobytes()


def test_arithmetic_on_comparisons_is_refused():
    with pytest.raises(ValueError, match="'d0': '\\+' on the outcome of a comparison"):
        VectorProgram(derive(lambda a, b: (a < b) + (b < a)))
