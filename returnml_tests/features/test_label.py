from __future__ import annotations

import subprocess
import sys

from returnml.features.label import Label, ReturnEvent, label_of, mature_at, outcome_known_at
from returnml.features.windows import DAY_US
from returnml.settings import LabelSettings
from returnml_tests.warehouse.conftest import label_vectors


def test_conformance_vectors():
    for case in label_vectors():
        label = LabelSettings(case["window"] // DAY_US, case["grace"] // DAY_US)
        returns = [ReturnEvent(r["returned_at"], r["known_at"], r["quantity"]) for r in case["returns"]]
        assert mature_at(case["anchor"], label) == case["mature_at"]
        assert label_of(case["anchor"], returns, label) == Label(case["y"], case["returned_quantity"], 0)


def test_a_cancellation_is_no_return():
    assert label_of(0, [ReturnEvent(5, 5, 2, 900, is_cancellation=True)], LabelSettings()) == Label(0, 0, 0)


def test_an_outcome_is_known_at_the_start_of_the_next_day():
    assert outcome_known_at(DAY_US - 1, 0) == DAY_US
    assert outcome_known_at(DAY_US, 0) == 2 * DAY_US
    assert outcome_known_at(0, 3 * DAY_US + 1) == 4 * DAY_US


def test_serving_can_import_it_without_the_warehouse():
    code = "import sys, returnml.features.label; print([m for m in ('duckdb', 'polars', 'pandera') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
