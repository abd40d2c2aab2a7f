"""``returnml.open``: tables, features as of any moment, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import duckdb
import polars as pl
import pytest

import returnml
from returnml.analysis.analysis_errors import MomentsError, NoAnswer, NoDays, NotPublished, UnknownTable
from returnml.analysis.opened_shop import Shop
from returnml.features.sets.customer import CUSTOMER
from returnml.features.sets.order_line import ORDER_LINE
from returnml.policy.document import Policy
from returnml.root import RootError
from returnml.settings import Settings
from returnml.tasks.declaration import TaskError
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.bi_copy import publish_copy
from returnml_tests.analysis.conftest import LAST, START
from returnml_tests.roots import rooted


@pytest.fixture
def shop(analysed: Settings):
    with returnml.open(analysed.data) as opened:
        yield opened


def moments_of_lines(shop: Shop) -> pl.DataFrame:
    columns = [c for c in shop.moment_columns() if c != "requested_at"]
    return shop.table("core.orders", columns=["line_id", "known_at", *columns]).rename({"known_at": "requested_at"})


def test_a_table_comes_in_three_forms_whole_and_by_days(shop: Shop):
    whole = shop.table("core.orders")
    arrow, relation = shop.table("core.orders", form="arrow"), shop.table("core.orders", form="duckdb")
    assert whole.height == arrow.num_rows == len(relation) > 800
    assert whole.columns == arrow.column_names == relation.columns
    parts = shop.table("core.orders", (START, "2025-01-05")).height + shop.table("core.orders", ("2025-01-06", LAST)).height
    assert parts == whole.height
    day = shop.table("core.orders", "2025-01-05", columns=["known_day", "line_id"])
    assert day["known_day"].unique().to_list() == [date(2025, 1, 5)]
    assert day.columns == ["known_day", "line_id"]


def test_all_tables_are_listed_with_the_column_of_their_days(shop: Shop):
    found = {table.name: table for table in shop.tables()}
    assert found["core.orders"].day_column == "known_day"
    assert found["features.order_lines"].day_column == "day"
    assert found["quarantine.files"].day_column == "day"
    assert found["core.orders"].columns == len(shop.table("core.orders").columns)


def test_features_of_the_lines_own_moments_are_the_batch_tables_bits(shop: Shop):
    names = list(ORDER_LINE.outputs)
    batch = shop.table("features.order_lines", columns=["line_id", *names]).sort("line_id")
    asked = shop.features(moments_of_lines(shop).sample(fraction=1.0, shuffle=True, seed=1)).sort("line_id")
    assert batch.height == asked.height > 800
    for name in names:
        wanted = batch[name].fill_null(float("nan")).to_numpy().view("u4")
        assert (asked[name].to_numpy().view("u4") == wanted).all(), name


def test_features_of_customers_at_a_cut_off_are_the_batch_tables_bits(shop: Shop):
    batch = shop.table("features.customers").sort("customer_id")
    at = datetime.combine(LAST + timedelta(days=1), datetime.min.time(), UTC)
    asked = shop.features(batch.select("customer_id", requested_at=pl.lit(at)), "customer")
    for name in CUSTOMER.outputs:
        wanted = batch[name].fill_null(float("nan")).to_numpy().view("u4")
        assert (asked[name].to_numpy().view("u4") == wanted).all(), name


def test_a_moment_sees_nothing_known_at_or_after_it(shop: Shop):
    orders = shop.table("core.orders", columns=["customer_id", "known_at"]).drop_nulls("customer_id")
    customer = orders["customer_id"].mode().sort()[0]
    times = orders.filter(pl.col("customer_id") == customer)["known_at"].sort()
    just_after = [t + timedelta(microseconds=1) for t in times]
    asked = pl.DataFrame({"requested_at": [*times, *just_after], "customer_id": customer})
    counts = shop.features(asked, "customer")["customer_orders_count_365d"].to_list()
    expected = [sum(seen < at for seen in times) for at in asked["requested_at"]]
    assert counts == expected


def test_instants_of_another_zone_are_converted(shop: Shop):
    utc = moments_of_lines(shop).head(200)
    other = utc.with_columns(pl.col("requested_at").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"))
    names = list(ORDER_LINE.outputs)
    assert shop.features(utc)[names].equals(shop.features(other)[names])


def test_no_moment_is_no_row(shop: Shop):
    found = shop.features(moments_of_lines(shop).clear())
    assert found.height == 0
    assert set(ORDER_LINE.outputs) <= set(found.columns)


def test_frames_that_features_cannot_be_computed_for_are_refused(shop: Shop):
    lines = moments_of_lines(shop).head(3)
    with pytest.raises(MomentsError, match=r"2 columns are missing that order_line needs: .*brand.*"):
        shop.features(lines.drop("brand", "article_id"))
    with pytest.raises(MomentsError, match="requested_at is String, a datetime is needed"):
        shop.features(lines.with_columns(pl.col("requested_at").cast(pl.String)))
    with pytest.raises(MomentsError, match="1 of 3 rows have no requested_at"):
        shop.features(lines.with_columns(pl.when(pl.arange(3) > 0).then("requested_at").alias("requested_at")))
    with pytest.raises(MomentsError, match=r"3 of 3 lie after 2025-02-10T00:00:00\+00:00, the end of what these tables know"):
        shop.features(lines.with_columns(pl.col("requested_at") + pl.duration(days=365)))
    with pytest.raises(MomentsError, match="is named like a feature of order_line"):
        shop.features(lines.with_columns(article_return_rate_lifetime=pl.lit(1.0)))
    with pytest.raises(NoAnswer, match="feature set 'order_lines': there is none; did you mean order_line"):
        shop.features(lines, "order_lines")


def test_unknown_names_and_days_are_refused_with_the_near_ones(shop: Shop):
    with pytest.raises(UnknownTable, match=r"table 'core.order': there is none; did you mean core.orders"):
        shop.table("core.order")
    with pytest.raises(UnknownTable, match=r"table core.orders: no column 'line'; did you mean line_id"):
        shop.table("core.orders", columns=["line"])
    with pytest.raises(UnknownTable, match="there is none"):
        shop.table('core.orders" --')
    with pytest.raises(NoDays, match="'yesterday' is no day"):
        shop.table("core.orders", "yesterday")


def test_it_reads_what_it_opened_and_never_blocks_the_writer(analysed: Settings, tmp_path):
    settings = Settings(data=str(rooted(tmp_path)))
    with pytest.raises(NotPublished, match="has published nothing yet"):
        Shop(settings)
    with open_warehouse(settings.paths.warehouse) as con:
        con.execute("CREATE SCHEMA core; CREATE TABLE core.a AS SELECT 1 AS n")
        publish_copy(con, settings.paths.published)
        with returnml.open(tmp_path) as first:
            con.execute("INSERT INTO core.a VALUES (2)")
            publish_copy(con, settings.paths.published)
            assert first.table("core.a")["n"].to_list() == [1]
            with returnml.open(tmp_path) as second:
                assert second.table("core.a")["n"].to_list() == [1, 2]
                with pytest.raises(duckdb.Error, match="read-only"):
                    second.sql("CREATE TABLE core.b AS SELECT 1")
                with pytest.raises(NoDays, match=r"core\.a: is not cut into days"):
                    second.table("core.a", "2025-01-01")


def test_no_release_no_answer_and_the_default_policy(shop: Shop):
    with pytest.raises(NoAnswer, match="return_risk: no release decides yet"):
        shop.release()
    with pytest.raises(NoAnswer, match="release 'gone': there is none"):
        shop.release("gone")
    with pytest.raises(NoAnswer, match="request 'r1' is not in the inference log"):
        shop.explain("r1")
    assert shop.policy() == Policy()
    with pytest.raises(TaskError, match="there is no task 'x'"):
        shop.policy("x")


def test_a_folder_that_is_no_root_is_refused(tmp_path):
    with pytest.raises(RootError, match="is no data root"):
        returnml.open(tmp_path)


def test_importing_the_package_alone_imports_no_heavy_library():
    heavy = {"duckdb", "polars", "pyarrow", "numpy", "msgspec"}
    script = f"import sys, returnml; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"
