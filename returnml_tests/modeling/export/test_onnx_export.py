"""The exported graph is the trained model: on every row, alone or in company, and byte for byte."""

import numpy as np
import pytest

from returnml.modeling.export.onnx_export import export_onnx
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.export.parity import (
    ParityError,
    compare,
    prove_parity,
)
from returnml.modeling.fit.boosting import (
    TreeModel,
    train,
)
from returnml.modeling.fit.calibration import (
    Calibration,
    fit_calibration,
)
from returnml_tests.modeling.fit.test_boosting import (
    PARAMS,
    sample,
)


@pytest.fixture(scope="module")
def model() -> TreeModel:
    return train(*sample(), "abcd", PARAMS, 60)


@pytest.fixture(scope="module")
def calibration(model: TreeModel) -> Calibration:
    x, y = sample(seed=1)
    return fit_calibration(model.margin(x), y)


def evaluation_rows() -> np.ndarray:
    """Unseen rows, with values of 0, missing values where training had none, and extremes."""
    x = sample(20_000, seed=2)[0]
    x[::7, 0], x[::11, 1], x[::13, 0], x[::17, 3] = np.nan, 0, 0, np.float32(3e38)
    return x


def test_graph_and_trees_agree_on_every_row(model: TreeModel, calibration: Calibration):
    report = prove_parity(OnnxScorer(export_onnx(model, calibration)), model, calibration, evaluation_rows())
    assert (report.rows, report.rows_over_tolerance, report.single_rows_different) == (20_000, 0, 0)
    assert report.max_abs_difference <= 1e-6


def test_a_steep_calibration_makes_rounding_larger_and_is_no_other_model(model: TreeModel):
    steep = Calibration(method="platt", rise=30.0, fall=30.0, intercept=-2.0)
    report = prove_parity(OnnxScorer(export_onnx(model, steep)), model, steep, evaluation_rows())
    assert 1e-6 < report.max_abs_difference <= report.tolerance == pytest.approx(30e-6)
    other = Calibration(method="platt", rise=30.0, fall=30.0, intercept=-2.001)
    assert not compare(OnnxScorer(export_onnx(model, other)), model, steep, evaluation_rows()).holds


def test_an_average_of_boosters_is_one_graph(calibration: Calibration):
    both = train(*sample(), "abcd", PARAMS, 20, [3, 4])
    assert prove_parity(OnnxScorer(export_onnx(both, calibration)), both, calibration, evaluation_rows()).holds


def test_beta_calibration_is_in_the_graph_too(model: TreeModel):
    x, y = sample(seed=1)
    beta = fit_calibration(model.margin(x), y, "beta")
    assert compare(OnnxScorer(export_onnx(model, beta)), model, beta, evaluation_rows()).rows_over_tolerance == 0


def test_export_repeats_itself_byte_for_byte(model: TreeModel, calibration: Calibration):
    assert export_onnx(model, calibration) == export_onnx(model, calibration)


def test_a_row_has_the_same_bits_in_any_company(model: TreeModel, calibration: Calibration):
    scorer, x = OnnxScorer(export_onnx(model, calibration), threads=2), evaluation_rows()
    together = scorer.probability(x)
    for size in (1, 3, 50, 5_000):
        parts = [scorer.probability(x[start : start + size]) for start in range(0, 5_000, size)]
        assert np.concatenate(parts)[:5_000].tobytes() == together[:5_000].tobytes()


def test_another_model_fails_the_proof(model: TreeModel, calibration: Calibration):
    other = train(*sample(seed=9), "abcd", PARAMS, 60)
    with pytest.raises(ParityError, match=r"of 20000 rows differ from LightGBM"):
        prove_parity(OnnxScorer(export_onnx(other, calibration)), model, calibration, evaluation_rows())


def test_a_matrix_of_another_width_or_type_is_refused(model: TreeModel, calibration: Calibration):
    scorer = OnnxScorer(export_onnx(model, calibration))
    with pytest.raises(ValueError, match="float32"):
        scorer.probability(np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="float64"):
        scorer.probability(np.zeros((2, 4)))
