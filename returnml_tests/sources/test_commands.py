"""The commands as a user or another program runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from returnml.commands.data import app as data_app
from returnml.commands.refusal import Commands
from returnml.commands.sources import import_app, simulate
from returnml_tests.roots import rooted

EXAMPLE = Path(__file__).parents[2] / "docs" / "mapping-example.toml"
ROW = "1,22139,X,5,2011-01-01 08:00:00,2.00,1.0,France"
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"

app = Commands()
app.command("simulate")(simulate)
app.add_typer(import_app, name="import")
app.add_typer(data_app, name="data")


def _run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "2011-01-01.csv").write_text(f"{HEADER}\n{ROW}\nC2,22139,X,-1,2011-01-01 09:00:00,2.00,1.0,France\n")
    return folder


def test_import_log_redeliver_and_diff(tmp_path: Path, source: Path) -> None:
    data = tmp_path / "data"
    text = _run("import", "online-retail", source, "--data", data).stdout
    assert "2 raw rows: 1 order rows, 1 return rows" in text
    assert "linked to an order line: 1 of 1" in text
    (source / "2011-01-01.csv").write_text(f"{HEADER}\n{ROW.replace('2.00', '3.00')}\n{ROW.replace('1,22139', '9,22140')}\n")
    refused = _run("import", "online-retail", source, "--data", data, code=2).stderr
    assert "returns: 1 ids that were delivered before are missing in this delivery of 1 days" in refused
    assert "C2-0001: say --replace where they are to be lost [ids_lost]" in refused
    text = _run("import", "online-retail", source, "--replace", "--data", data).stdout
    assert "orders: 1 days delivered, 0 unchanged; of 2 rows 1 new, 1 replaced, 0 unchanged; 0 ids lost" in text
    assert "returns: 1 days delivered, 0 unchanged; of 0 rows 0 new, 0 replaced, 0 unchanged; 1 ids lost" in text
    assert "to be run: 1 days from 2011-01-01 to 2011-01-01 (UTC), and the later ones" in text
    answer = json.loads(_run("import", "online-retail", source, "--data", data, "--json").stdout)
    assert (answer["rows"], answer["orders"]["days_unchanged"], answer["coverage"]["returns"]) == (2, 1, 0)

    log = json.loads(_run("data", "log", "--data", data, "--json").stdout)
    assert [(r["stream"], r["day"], r["version"], r["rows"]) for r in log] == [
        ("orders", "2011-01-01", 1, 1),
        ("orders", "2011-01-01", 2, 2),
        ("returns", "2011-01-01", 1, 1),
        ("returns", "2011-01-01", 2, 0),
    ]
    assert "2 versions" in _run("data", "log", "orders", "--data", data).stdout
    text = _run("data", "diff", "2011-01-01", "orders", "--data", data).stdout
    assert "v1 -> v2: 1 rows added, 0 removed, 1 changed" in text
    assert "+ 9-0001" in text
    assert "~ 1-0001  unit_price_cents: 200 -> 300" in text
    answer = json.loads(_run("data", "diff", "2011-01-01", "returns", 1, 2, "--data", data, "--json").stdout)
    assert (answer["removed"], answer["added"], answer["changed"]) == (["C2-0001"], [], [])


def test_simulate_prints_what_it_delivered(tmp_path: Path) -> None:
    arguments = ["simulate", "--days", 3, "--lines-per-day", 20, "--seed", 4, "--start", "2025-02-01", "--data", tmp_path]
    assert "orders: 3 days delivered, 0 unchanged" in _run(*arguments).stdout
    answer = json.loads(_run(*arguments, "--json").stdout)
    assert answer["orders"]["days_unchanged"] == 3
    assert (tmp_path / "landing" / "inspections" / "2025-02-03").is_dir()
    assert (tmp_path / "simulator" / "truth" / "2025-02-01.parquet").exists()


def test_csv_and_json_imports_of_the_same_rows_deliver_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("Bestellung;Zeit;Kunde;Artikel;Menge;Preis;Groesse\nB1;01.07.2025 10:00;K;A;1;12,50;M\n")
    row = {
        "Bestellung": "B1",
        "Zeit": "01.07.2025 10:00",
        "Kunde": "K",
        "Artikel": "A",
        "Menge": 1,
        "Preis": 12.5,
        "Groesse": "M",
    }
    (tmp_path / "orders.json").write_text(json.dumps([row]))
    options = ["--mapping", EXAMPLE, "--data", tmp_path / "data"]
    assert (
        "orders: 1 days delivered, 0 unchanged; of 1 rows 1 new"
        in _run("import", "csv", tmp_path / "orders.csv", *options).stdout
    )
    answer = json.loads(_run("import", "json", tmp_path / "orders.json", *options, "--json").stdout)
    orders = answer["orders"]
    assert (orders["stream"], orders["days_written"], orders["days_unchanged"], orders["rows"]) == ("orders", 0, 1, 1)
    assert (orders["new"], orders["replaced"], orders["unchanged"], orders["days"]) == (0, 0, 1, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulate", "--scenario", "flood"], "'flood' is not a valid Scenario"),
        (["simulate", "--days", "0"], "days = 0"),
        (["simulate", "--start", "soon"], "soon"),
        (["import", "online-retail", "nowhere"], "nowhere: there are no .csv files [no_files]"),
        (["import", "csv", "orders.csv", "--mapping", "nowhere.toml"], "nowhere.toml: No such file"),
        (["data", "log", "refunds"], "stream 'refunds': expected one of orders, returns, inspections"),
        (["data", "diff", "today", "orders"], "'today' is no day"),
        (["data", "diff", "2025-01-01", "orders"], "nothing was delivered"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    rooted(tmp_path, "pseudonymise")
    result = _run(*arguments, "--data", tmp_path, code=2)
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    as_json = _run(*arguments, "--data", tmp_path, "--json", code=2)
    assert message in json.loads(as_json.stderr)["error"]
