"""``returnml rates``."""

import json

import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml_tests.roots import rooted


@pytest.fixture
def run(tmp_path, monkeypatch):
    root = rooted(tmp_path / "data")
    monkeypatch.setenv("RETURNML_SHOP__CURRENCY", "EUR")

    def invoke(*arguments):
        return CliRunner().invoke(app, ["rates", *map(str, arguments), "--data", str(root)])

    return invoke


def test_recorded_once_listed_and_nothing_by_a_dry_run(run, tmp_path):
    file = tmp_path / "ecb.csv"
    file.write_text("Date,USD,JPY\n2025-03-03,1.04,156\n2025-03-04,1.05,N/A\n")
    said = run("import", file, "--quoted", "foreign-per-shop", "--dry-run")
    assert said.stdout == "3 rates would be recorded of JPY, USD, 2025-03-03 to 2025-03-04; 0 were there already\n"
    assert json.loads(run("list", "--json").stdout) == []
    assert run("import", file, "--quoted", "foreign-per-shop").exit_code == 0
    again = json.loads(run("import", file, "--quoted", "foreign-per-shop", "--json").stdout)
    assert (again["recorded"], again["repeated"]) == (0, 3)
    assert [(row["currency"], row["rates"]) for row in json.loads(run("list", "--json").stdout)] == [("JPY", 1), ("USD", 2)]
    assert "USD        2 rates  2025-03-03 to 2025-03-04  none holds now: too old" in run("list").stdout


def test_what_cannot_be_recorded_is_refused_whole(run, tmp_path):
    file = tmp_path / "rates.csv"
    file.write_text("day,currency,rate\n2025-03-03,USD,0.9\n2025-03-04,USD,-1\n")
    refused = run("import", file, "--quoted", "shop-per-foreign")
    assert refused.exit_code == 2
    assert "rates.csv, row 2, USD: '-1' is no decimal number above 0 [not_a_rate]" in refused.stderr
    assert json.loads(run("list", "--json").stdout) == []


def test_without_a_declared_currency_there_is_nothing_to_convert_into(run, tmp_path, monkeypatch):
    monkeypatch.delenv("RETURNML_SHOP__CURRENCY")
    refused = run("import", tmp_path / "rates.csv", "--quoted", "shop-per-foreign")
    assert (refused.exit_code, "shop.currency is not declared" in refused.stderr) == (2, True)
