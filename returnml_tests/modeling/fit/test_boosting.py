"""Rounded thresholds ask the same question of float32 values; training repeats itself."""

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from returnml.modeling.fit.boosting import (
    float32_below,
    parameters,
    round_thresholds_down,
    train,
)
from returnml.settings import TrainingSettings

PARAMS = parameters(TrainingSettings(num_leaves=15, min_data_in_leaf=20, threads=1))


def sample(rows: int = 3_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    x[:, 1] = np.round(x[:, 1] * 4)
    x[rng.random(rows) < 0.2, 2] = np.nan
    y = (x[:, 0] + 0.5 * x[:, 1] + np.nan_to_num(x[:, 2]) + rng.normal(size=rows) > 1).astype(np.int8)
    return x, y


@given(st.floats(-3e38, 3e38), st.floats(width=32, allow_nan=False))
def test_a_float32_is_at_most_a_threshold_exactly_if_at_most_the_rounded_one(threshold: float, value: float):
    rounded = float(float32_below(np.array([threshold]))[0])
    assert np.float32(rounded) == rounded
    assert (value <= threshold) == (value <= rounded)


def test_rounding_keeps_every_prediction_to_the_last_bit():
    x, y = sample()
    booster = lgb.train(PARAMS, lgb.Dataset(x, y), 30)
    rounded = lgb.Booster(model_str=round_thresholds_down(booster.model_to_string()))
    x[::5, 0] = np.nan  # never missing in training: LightGBM reads it as 0, and so must the rounded model
    assert np.array_equal(booster.predict(x, raw_score=True), rounded.predict(x, raw_score=True))


def test_training_repeats_itself_on_any_number_of_threads():
    x, y = sample()
    one = train(x, y, "abcd", PARAMS, 20)
    two = train(x, y, "abcd", {**PARAMS, "num_threads": 2}, 20)
    assert one.margin(x).tobytes() == two.margin(x).tobytes()
    assert one == train(x, y, "abcd", PARAMS, 20)


def test_several_seeds_are_averaged():
    x, y = sample()
    both = train(x, y, "abcd", PARAMS, 10, [1, 2])
    alone = [train(x, y, "abcd", PARAMS, 10, [seed]).margin(x) for seed in (1, 2)]
    np.testing.assert_allclose(both.margin(x), (alone[0] + alone[1]) / 2, rtol=1e-12)
    assert both.importance().sum() == pytest.approx(1)


def test_float64_and_a_single_class_are_refused():
    x, y = sample(200)
    with pytest.raises(TypeError, match="float64"):
        train(x.astype(np.float64), y, "abcd", PARAMS, 1)
    with pytest.raises(ValueError, match="only y"):
        train(x, np.zeros(200), "abcd", PARAMS, 1)
