"""Checks of the training set: one label alone is too little history, no failure."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from returnml.modeling.data.splits import SplitError
from returnml.modeling.training.training_data import training_data
from returnml.pipeline.checks.training_checks import (
    training_set_results,
    training_set_specs,
)
from returnml_tests.modeling.gated import Shop
from returnml_tests.modeling.shop import SETTINGS, TASK

KEY = dg.AssetKey("training_set")


def test_one_label_alone_warns_and_stops_nothing(tmp_path: Path):
    snapshot = Shop(tmp_path).snapshot(lambda lines: lines.with_columns(returned=pl.lit(1, pl.Int8)))
    [failed] = [found for found in training_set_results(KEY, snapshot) if not found.passed]
    assert (failed.check_name, failed.severity) == ("both_classes", dg.AssetCheckSeverity.WARN)
    [declared] = [spec for spec in training_set_specs(KEY, is_logged=False) if spec.name == "both_classes"]
    assert not declared.blocking
    with pytest.raises(SplitError, match="all with label 1"):
        training_data(snapshot, TASK, SETTINGS.training)
