"""Variants differ as declared, each can be a release, and the one to release is chosen without a look at the hold-out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from returnml.features.windows import DAY_US
from returnml.modeling.fit.variants import (
    VARIANTS,
    Recipe,
    Variant,
    VariantError,
    chosen_variants,
    recipe_of,
)
from returnml.modeling.making.candidate import build_release
from returnml.modeling.making.release_rebuilding import rebuild
from returnml.modeling.training.fitting import (
    fit_rows,
    recency_weights,
)
from returnml.modeling.training.leaderboard import (
    Leaderboard,
    as_markdown,
    choose,
    compare_variants,
    draw_leaderboard,
)
from returnml.modeling.training.trained import (
    Trained,
    read_trained,
    train_variant,
    write_trained,
)
from returnml.modeling.training.training_data import (
    TrainingData,
    training_data,
)
from returnml.settings import DataPaths, TrainingSettings
from returnml_tests.modeling.gated import GATED, Shop
from returnml_tests.modeling.shop import FEATURES, SETTINGS, TASK

RATE = FEATURES.index("article_return_rate_lifetime")
BY_NAME = {variant.name: variant for variant in VARIANTS}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("variants")


@pytest.fixture(scope="module")
def data(root: Path) -> TrainingData:
    return training_data(Shop(root).snapshot(), TASK, SETTINGS.training)


@pytest.fixture(scope="module")
def trained(data: TrainingData) -> dict[str, Trained]:
    return {
        name: train_variant(data, variant.recipe(SETTINGS.training, data.names), SETTINGS.training)
        for name, variant in BY_NAME.items()
    }


@pytest.fixture(scope="module")
def board(data: TrainingData, trained: dict[str, Trained]) -> Leaderboard:
    return compare_variants(data, list(trained.values()), seed=1)


def rising(data: TrainingData, trained: Trained) -> bool:
    """Whether the score never falls while the article's rate rises and all else stays."""
    rows = np.repeat(data.holdout.x[:20], 200, axis=0)
    rows[:, RATE] = np.tile(np.linspace(0, 0.5, 200, dtype=np.float32), 20)
    scores = trained.model_for(data).margin(rows).reshape(20, 200)
    return bool((np.diff(scores, axis=1) >= 0).all())


def test_a_monotone_variant_never_falls_and_the_plain_one_does(data: TrainingData, trained: dict[str, Trained]):
    assert rising(data, trained["monotone"])
    assert not rising(data, trained["plain"])


def test_an_excluded_input_is_not_asked_and_keeps_its_place(data: TrainingData):
    variant = Variant("blind", "Without alpha.", excluded=("al.ha",))
    recipe = variant.recipe(SETTINGS.training, data.names)
    assert recipe.excluded == ["alpha"]
    model = train_variant(data, recipe, SETTINGS.training).model_for(data)
    assert model.names == FEATURES
    importance = model.importance()
    assert importance[FEATURES.index("alpha")] == 0
    assert importance[RATE] > 0
    assert not np.isnan(data.x[:, FEATURES.index("alpha")]).any(), "the data themselves stay whole"


def test_a_recent_row_counts_twice_as_much_as_one_a_half_life_older(data: TrainingData):
    """What alpha means turns round in the second half: by recency it is the later meaning that is learnt."""
    late = data.anchor_us > np.median(data.anchor_us)
    y = ((data.x[:, 0] > 0) == late).astype(np.int8)
    turned = replace(data, table=data.table.with_columns(label=pl.Series(y)))
    rows = np.arange(len(y))
    probe = np.zeros((2, len(FEATURES)), np.float32)
    probe[:, 0] = (-1, 1)
    training = msgspec.structs.replace(SETTINGS.training, half_life_days=3.0)
    slopes = {}
    for name in ("plain", "recent"):
        recipe = BY_NAME[name].recipe(training, data.names)
        assert recipe.weight_half_life_days == (3.0 if name == "recent" else None)
        slopes[name] = float(np.diff(fit_rows(turned, rows, recipe, 1).margin(probe))[0])
    assert slopes["recent"] > 2
    assert abs(slopes["plain"]) < 1
    weight = recency_weights(np.array([0, 3, 6]) * DAY_US, 3.0)
    assert weight.tolist() == pytest.approx(np.array([1, 2, 4]) * 3 / 7)


def test_a_variant_is_said_relative_to_the_settings():
    for leaves in (40, 20):
        training = TrainingSettings(num_leaves=leaves, min_data_in_leaf=100, lambda_l2=2.0)
        given = BY_NAME["regularised"].recipe(training, FEATURES).lightgbm
        assert (given["num_leaves"], given["min_data_in_leaf"], given["lambda_l2"]) == (leaves * 0.5, 500, 10.0)


@pytest.mark.parametrize("name", [variant.name for variant in VARIANTS if not variant.is_baseline])
def test_each_can_be_a_release_and_is_rebuilt_from_its_manifest(name: str, root: Path, data: TrainingData, trained):
    paths = DataPaths(root)
    candidate = build_release(trained[name], data, TASK, GATED, paths.releases)
    manifest = candidate.release.manifest
    assert manifest.parameters["variant"] == name
    assert recipe_of(manifest.parameters) == trained[name].recipe
    assert candidate.evaluation.parity.holds
    assert candidate.explained.holds
    assert rebuild(candidate.release, TASK, paths) == []


def test_a_baseline_is_shown_and_never_released(data: TrainingData, trained: dict[str, Trained], root: Path):
    linear = trained["logistic"]
    assert linear.probability.shape == data.holdout.y.shape
    best = msgspec.structs.replace(linear, selection_loss=0.0)
    assert choose([best, trained["plain"]]) is trained["plain"]
    with pytest.raises(VariantError, match="logistic is a baseline"):
        build_release(best, data, TASK, SETTINGS, root / "releases")
    with pytest.raises(VariantError, match="no variant was trained that may be released"):
        choose([linear])


def test_a_model_whose_scores_mean_nothing_is_chosen_last(trained: dict[str, Trained]):
    falls = msgspec.structs.replace(trained["plain"].choice, problem="falls")
    broken = msgspec.structs.replace(trained["plain"], choice=falls, selection_loss=0.0)
    assert choose([broken, trained["monotone"]]) is trained["monotone"]
    assert choose([broken, trained["logistic"]]) is broken


def test_the_hold_out_has_no_say(data: TrainingData, trained: dict[str, Trained], board: Leaderboard):
    held = np.sort(data.holdout.y).astype(np.float64)
    # the others are made perfect on the hold-out, the chosen one as bad as can be
    lies = [
        msgspec.structs.replace(one, holdout=(9 * (-held if one.recipe.variant == board.chosen.variant else held)).tobytes())
        for one in trained.values()
    ]
    assert choose(lies).recipe.variant == board.chosen.variant


def test_the_leaderboard_holds_every_variant_beside_the_chosen_one(trained: dict[str, Trained], board: Leaderboard):
    assert {standing.variant for standing in board.standings} == set(trained)
    losses = [standing.selection_loss for standing in board.standings]
    assert losses == sorted(losses)
    for standing in board.standings:
        for figure in standing.figures.values():
            assert figure.low <= figure.high
            assert figure.difference_low <= figure.difference_high
            if standing.is_chosen:
                assert (figure.difference, figure.difference_low, figure.difference_high) == (0, 0, 0)
        chosen = board.chosen.figures["log_loss"].value
        assert standing.figures["log_loss"].difference == standing.figures["log_loss"].value - chosen
    assert f"**{board.chosen.variant}**" in as_markdown(board)
    assert draw_leaderboard(board).startswith(b"\x89PNG")


def test_it_is_kept_under_the_name_of_its_content(trained: dict[str, Trained], tmp_path: Path):
    name = write_trained(tmp_path, trained["plain"])
    assert read_trained(tmp_path, name) == trained["plain"]
    assert write_trained(tmp_path, trained["plain"]) == name
    (tmp_path / name).write_bytes(b"other")
    with pytest.raises(VariantError, match="not those that it was named after"):
        read_trained(tmp_path, name)
    with pytest.raises(VariantError, match="No such file"):
        read_trained(tmp_path, "plain-0.msgpack")


def test_what_was_trained_on_another_snapshot_is_refused(data: TrainingData, trained: dict[str, Trained], root: Path):
    other = msgspec.structs.replace(trained["plain"], snapshot="0" * 64)
    with pytest.raises(VariantError, match="another snapshot"):
        compare_variants(data, [other, trained["monotone"]], seed=1)
    with pytest.raises(VariantError, match="is of snapshot 000000000000"):
        build_release(other, data, TASK, SETTINGS, root / "releases")


def test_names_are_checked():
    assert [variant.name for variant in chosen_variants(("dart", "plain"))] == ["plain", "dart"]
    with pytest.raises(VariantError, match="no variant 'deep'; declared are plain, monotone"):
        chosen_variants(("plain", "deep"))
    with pytest.raises(VariantError, match="nothing that could be released"):
        chosen_variants(("logistic",))


def test_a_recipe_is_read_back_from_a_manifest():
    recipe = Recipe(variant="v", lightgbm={"num_leaves": 3}, rounds=7, excluded=["a"], study="s", trial=4)
    assert recipe_of({**recipe.described(), "holdout_days": 3, "young_lines": "exclude"}) == recipe
