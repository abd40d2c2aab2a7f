"""The command line as a user and a program meet it."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml.features.sets.customer import CUSTOMER
from returnml.features.sets.order_line import ORDER_LINE
from returnml_tests.roots import rooted

COMMANDS = (
    "simulate",
    "import",
    "data",
    "run",
    "backfill",
    "status",
    "store",
    "logs",
    "features",
    "evaluate",
    "score",
    "explain",
    "replay",
    "serve",
    "dev",
    "demo",
)


def invoke(*words: str):
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    shown = invoke(command, "--help")
    assert shown.exit_code == 0
    assert len(shown.output.split("\n")) > 5
    assert command in invoke("--help").output


def test_features_as_json_are_the_feature_sets():
    found = json.loads(invoke("features", "--json").output)
    for declared in (ORDER_LINE, CUSTOMER):
        assert [feature["name"] for feature in found if feature["feature_set"] == declared.name] == list(declared.outputs)
    columns = {"name", "key", "source", "operation", "column", "window", "dtype", "description"}
    assert set(found[0]) == columns | {"feature_set"}
    assert all(feature["description"] for feature in found)


def test_features_as_sql_is_the_plan_of_a_set_or_of_one_feature():
    whole = invoke("features", "--sql", "--set", "order_line").output
    assert "create or replace temp table pit_windows_customer_all_day as" in whole
    assert all(f' as "{name}"' in whole for name in ORDER_LINE.raw_names)
    one = invoke("features", "--sql", "article_orders_count_24h").output
    assert "pit_windows_article_all_slot" in one
    assert "customer_all" not in one
    derived = invoke("features", "--sql", "article_return_rate_90d", "--set", "order_line").output
    assert "from article_outcomes_returned_sum_90d, article_outcomes_count_90d; computed in Python" in derived
    assert ' as "article_outcomes_count_90d"' in derived


def test_a_plan_of_a_feature_that_is_not_there_is_refused():
    refused = invoke("features", "--sql", "article_orders")
    assert refused.exit_code == 2
    assert "no feature of that name in order_line, customer, return_request" in " ".join(refused.output.split())


def test_features_of_one_set():
    assert f"{len(CUSTOMER.outputs)} features of customer" in invoke("features", "--set", "customer").output
    refused = invoke("features", "--set", "lines")
    assert refused.exit_code == 2
    assert "expected one of order_line, customer" in refused.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run",), "nothing was landed"),
        (("backfill", "--from", "yesterday", "--to", "2025-01-01"), "'yesterday' is no day YYYY-MM-DD"),
        (("demo", "--source", "elsewhere"), "simulate or online-retail"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, said, tmp_path):
    refused = invoke(*words, "--data", str(rooted(tmp_path)))
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_status_of_an_empty_root(tmp_path):
    found = json.loads(invoke("status", "--data", str(rooted(tmp_path)), "--json").output)
    assert found["tables"] == []
    assert found["deployment"]["return_risk"] == {"champion": None, "challenger": None, "previous": None, "pending": None}


def test_importing_the_command_line_stays_light():
    heavy = "{'dagster', 'duckdb', 'polars', 'pandas', 'numpy', 'lightgbm', 'mlflow', 'pandera', 'matplotlib'}"
    code = f"import sys, returnml.cli; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
