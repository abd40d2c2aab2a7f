"""A superstore's order list and list of returned orders, by documented commands: from files to scores, reasons and a policy."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml.settings import Settings
from returnml.warehouse.partition import open_warehouse
from returnml_tests.pipeline.assets.shop import open_shop, run_line, settings_of

pytestmark = pytest.mark.slow


def _export(simulated: Settings, folder: Path) -> tuple[Path, Path]:
    """The simulated shop as the superstore's files: totals of lines, dates alone, and orders that came back as a list."""
    landing = simulated.paths.landing
    orders = pl.read_parquet(landing / "orders" / "*" / "*.parquet").sort("ordered_at", "line_id", maintain_order=True)
    orders = orders.filter(pl.col("quantity") > 0, pl.col("unit_price_cents") > 0).unique("line_id", maintain_order=True)
    returns = pl.read_parquet(landing / "returns" / "*" / "*.parquet").filter(~pl.col("is_cancellation"))
    listed = orders.filter(pl.col("line_id").is_in(returns["line_id"].to_list()))["order_id"].unique().sort()
    table = orders.select(
        pl.col("line_id").alias("Row ID"),
        pl.col("order_id").alias("Order ID"),
        pl.col("ordered_at").dt.strftime("%m/%d/%Y").alias("Order Date"),
        pl.col("customer_id").alias("Customer ID"),
        pl.lit("A Person").alias("Customer Name"),
        pl.col("country").alias("Country"),
        pl.col("article_id").alias("Product ID"),
        pl.col("product_group").alias("Sub-Category"),
        (pl.col("unit_price_cents") * pl.col("quantity") / 100).round(2).alias("Sales"),
        pl.col("quantity").alias("Quantity"),
    )
    table.write_excel(folder / "orders.xlsx")
    pl.DataFrame({"Returned": "Yes", "Order ID": listed}).write_csv(folder / "returned.csv")
    return folder / "orders.xlsx", folder / "returned.csv"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, str]:
    root = tmp_path_factory.mktemp("superstore")
    orders, returned = _export(open_shop(tmp_path_factory.mktemp("simulated")), root)
    arguments = ["import", "files", "--mapping", "superstore", "--exported-at", "2025-03-17", str(orders)]
    arguments += ["--table", f"returned={returned}", "--data", str(root / "data")]
    looked = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert looked.exit_code == 0, looked.output
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    settings = settings_of(root / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        patch.setenv("DAGSTER_STORAGE", "")
        assert run_line(settings).failures == []
    return settings, looked.output


def test_files_become_scores_with_reasons_and_actions(shop: tuple[Settings, str]) -> None:
    settings, looked = shop
    assert "not delivered: Customer Name" in looked
    with open_warehouse(settings.paths.published, read_only=True) as con:
        [(lines, scored, actions, low, high)] = con.execute(
            """SELECT (SELECT count(*) FROM core.orders), count(*), count(DISTINCT action), min(probability), max(probability)
            FROM scores.daily"""
        ).fetchall()
        [(reasons, texts)] = con.execute("SELECT count(*), count(DISTINCT text) FROM scores.reasons").fetchall()
        [(flagged, kept)] = con.execute(
            "SELECT count(*) FILTER (is_returned), count(*) FILTER (NOT is_returned) FROM core.orders"
        ).fetchall()
    assert lines == scored > 4_000
    assert actions >= 2
    assert 0 < low < high < 1
    assert reasons > 100
    assert texts > 5
    assert flagged > 500
    assert kept > 500
