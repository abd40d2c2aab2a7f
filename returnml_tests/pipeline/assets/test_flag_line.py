"""A shop with a flag per line and no return times: its CSV through the documented mapping, the whole line and the service."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml.commands.demo_service import score_one
from returnml.commands.line import LineRun
from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.sets.shop import PRIOR_RETURN_RATE
from returnml.modeling.making.candidate import CARD_FILE
from returnml.reasons.kernel import EXPLAINER_FILE, Explainer
from returnml.reasons.ordering import Reasoner
from returnml.release.deployment import read_state
from returnml.release.folder import load_release, release_folder
from returnml.settings import Settings
from returnml.warehouse.partition import open_warehouse
from returnml_tests.pipeline.assets.shop import (
    open_shop,
    run_line,
    settings_of,
)

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[3] / "docs" / "mapping-flag-example.toml"
WINDOW_US = 30 * 86_400_000_000


@dataclass(frozen=True)
class FlagShop:
    settings: Settings
    imported: str
    run: LineRun
    orders: pl.DataFrame


def _table(simulated: Settings) -> pl.DataFrame:
    """The simulated orders as the example mapping expects a shop's table, the returns reduced to a status per line."""
    landing = simulated.paths.landing
    orders = pl.read_parquet(landing / "orders" / "*" / "*.parquet").sort("ordered_at", "line_id", maintain_order=True)
    returns = pl.read_parquet(landing / "returns" / "*" / "*.parquet").filter(~pl.col("is_cancellation"))
    local = pl.col("ordered_at").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
    return orders.select(
        pl.col("order_id").alias("order"),
        local.dt.strftime("%Y-%m-%d %H:%M:%S").alias("time"),
        pl.col("customer_id").alias("customer"),
        pl.col("article_id").alias("article"),
        pl.col("quantity").alias("pieces"),
        (pl.col("unit_price_cents") / 100).round(2).alias("price"),
        "size",
        pl.col("color").alias("colour"),
        pl.col("product_group").alias("category"),
        "brand",
        pl.col("payment_method").alias("payment"),
        pl.when(pl.col("line_id").is_in(returns["line_id"].to_list()))
        .then(pl.lit("returned"))
        .otherwise(pl.lit("kept"))
        .alias("status"),
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[FlagShop]:
    orders = _table(open_shop(tmp_path_factory.mktemp("simulated")))
    root = tmp_path_factory.mktemp("flags")
    orders.write_csv(root / "orders.csv")
    done = CliRunner().invoke(
        app, ["import", "files", "--mapping", str(EXAMPLE), str(root / "orders.csv"), "--data", str(root / "data")]
    )
    assert done.exit_code == 0, done.output
    settings = settings_of(root / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        patch.setenv("DAGSTER_STORAGE", "")
        yield FlagShop(settings, done.output, run_line(settings), orders)


def _rows(shop: FlagShop, sql: str) -> list[tuple]:
    con = open_warehouse(shop.settings.paths.published, read_only=True)
    try:
        return con.execute(sql).fetchall()
    finally:
        con.close()


def test_the_line_runs_to_a_release_and_scores(shop: FlagShop):
    assert shop.run.failures == []
    # without returns there is none to ask about, and the run says so; nor are there customers known for long enough. On the
    # few lines of the first origins a regression may lead, of which the leaderboard warns
    others = ("return_abuse/", "customer_risk/", "leaderboard: beats_linear_baseline")
    assert [failed for failed in shop.run.failed_checks if not failed.startswith(others)] == []
    assert "return_abuse/training_set: has_mature_rows" in shop.run.failed_checks
    champion = read_state(shop.settings.paths.deployment_state("return_risk")).champion
    assert champion is not None
    ((lines,),) = _rows(shop, "SELECT count(*) FROM core.orders")
    assert _rows(shop, "SELECT release, count(*) FROM scores.daily GROUP BY ALL") == [(champion, lines)]
    assert lines > 5_000


def test_labels_are_the_final_flags_known_one_window_after_the_order(shop: FlagShop):
    wrong, early, late, outcomes, final = _rows(
        shop,
        f"""SELECT count(*) FILTER (o.returned <> l.is_returned::INT),
            count(*) FILTER (epoch_us(o.known_at) < epoch_us(l.ordered_at) + {WINDOW_US}),
            count(*) FILTER (epoch_us(o.known_at) > epoch_us(l.ordered_at) + {WINDOW_US} + 86400000000),
            count(o.line_id), count(*) FILTER (l.is_returned IS NOT NULL AND l.ordered_at < DATE '2025-03-16' - 30)
        FROM core.orders l LEFT JOIN core.outcomes o USING (line_id)""",
    )[0]
    assert (wrong, early, late) == (0, 0, 0)
    assert outcomes == final > 3_000
    ((returned,),) = _rows(shop, "SELECT sum(is_returned::INT) FROM core.orders")
    assert 0 < returned <= shop.orders.filter(pl.col("status") == "returned").height


def test_no_flag_reaches_a_feature_before_its_window_is_over(shop: FlagShop):
    rates = """SELECT count(*), min(customer_return_rate_lifetime), max(customer_return_rate_lifetime)
        FROM features.order_lines WHERE day {} DATE '2025-01-31'"""
    rows, low, high = _rows(shop, rates.format("<"))[0]
    assert rows > 1_000
    assert low == high == pytest.approx(PRIOR_RETURN_RATE)  # the first flags were final on the 31st day
    _, low, high = _rows(shop, rates.format(">"))[0]
    assert low < PRIOR_RETURN_RATE < high


def test_forecasts_say_that_there_are_no_return_times(shop: FlagShop):
    assert "no return times" in shop.imported
    assert _rows(shop, "SELECT (SELECT count(*) FROM forecast.return_rates), (SELECT count(*) FROM forecast.returns)") == [(0, 0)]


def test_an_order_is_scored_over_http(shop: FlagShop):
    customers = shop.orders["customer"].drop_nulls().unique().to_list()
    answer = score_one(shop.settings, None, customers)
    assert answer.response["release"] == read_state(shop.settings.paths.deployment_state("return_risk")).champion
    assert len(answer.response["lines"]) == len(answer.request["lines"])
    assert all(0 < line["probability"] < 1 and line["reasons"] for line in answer.response["lines"])


def test_the_strongest_family_is_named_though_there_are_no_returns(shop: FlagShop):
    """What came back of a customer or an article is told by outcomes; only words that are not true of a line are left out."""
    release = load_release(
        release_folder(
            shop.settings.paths.releases, read_state(shop.settings.paths.deployment_state("return_risk")).champion or ""
        )
    )
    con = open_warehouse(shop.settings.paths.published, read_only=True)
    columns = ", ".join(f'"{name}"' for name in ORDER_LINE.outputs)
    x = (
        con.sql(f"SELECT {columns} FROM features.order_lines ORDER BY requested_at DESC, line_id LIMIT 1000")
        .pl()
        .to_numpy(order="c")
    )
    con.close()
    explainer = Explainer(release.read(EXPLAINER_FILE))
    of_return = [i for i, f in enumerate(ORDER_LINE.families) if f.claims and "return" in f.claims[0].feature]
    number = [[f.name for f in ORDER_LINE.families].index(ORDER_LINE.family_of[name]) for name in ORDER_LINE.outputs]
    named = asked = 0
    for row, added, reasons in zip(x, explainer.contributions(x), Reasoner(explainer, ORDER_LINE).reasons(x), strict=True):
        totals = np.bincount(number, added, len(ORDER_LINE.families))
        strongest = int(totals.argmax())
        claims = ORDER_LINE.families[strongest].claims
        rates = [row[ORDER_LINE.outputs.index(c.feature)] for c in claims if "rate" in c.feature]
        if totals[strongest] > 0 and strongest in of_return and max(rates) > PRIOR_RETURN_RATE:
            asked += 1
            named += bool(reasons) and reasons[0].family == ORDER_LINE.families[strongest].name
    assert asked > 50
    assert named == asked


def test_the_card_tells_maturity_by_the_flags_and_lists_what_never_varies(shop: FlagShop):
    champion = read_state(shop.settings.paths.deployment_state("return_risk")).champion or ""
    release = load_release(release_folder(shop.settings.paths.releases, champion))
    card = release.read(CARD_FILE).decode()
    assert release.manifest.metrics["maturity_days"] == 30
    assert "100% mature (30 days of label window, after which the shop's flags are final)" in card
    assert "3 days later" not in card
    [said] = [line for line in card.splitlines() if "inputs had one value in training" in line]
    named = said.partition("): ")[2].rstrip(".").split(", ")
    assert said.startswith(f"* {len(named)} of {len(ORDER_LINE.outputs)} inputs")
    assert {"customer_returns_count_365d", "article_returns_refund_cents_sum_90d", "has_voucher"} <= {*named}
