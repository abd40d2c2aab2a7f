"""What becomes of customer ids on their way into the landing folder."""

from __future__ import annotations

import polars as pl
import pytest

from returnml.clock import VirtualClock
from returnml.contracts.columns import INSPECTIONS, ORDERS, RETURNS
from returnml.privacy.customers import AS_DELIVERED, Pseudonyms
from returnml.privacy.keyring import Keyring
from returnml.sources.delivery import deliver
from returnml.sources.delivery_plan import Draft
from returnml.sources.import_error import SourceError
from returnml.sources.landing import days
from returnml.sources.pseudonyms import pseudonymised
from returnml_tests.landed import last_version


@pytest.fixture
def keyring(tmp_path):
    return Keyring(tmp_path / "keys", is_created=True)


def ids(frame):
    return frame["customer_id"].to_list()


def test_ids_become_pseudonyms_and_no_id_stays_none(keyring):
    frame = pl.DataFrame({"line_id": ["1", "2", "3", "4", "5"], "customer_id": ["anna", None, "bert", "  ", "anna"]})
    out = pseudonymised(ORDERS, frame, Pseudonyms(keyring))
    anna, bert = keyring.find("anna"), keyring.find("bert")
    assert ids(out) == [anna, None, bert, "  ", anna]
    assert out.columns == frame.columns
    assert keyring.find("  ") is None


@pytest.mark.parametrize("stream", [ORDERS, RETURNS])
def test_streams_without_rows_or_the_column_are_left_alone(keyring, stream):
    customers = Pseudonyms(keyring)
    empty = pl.DataFrame(schema={"customer_id": pl.String, "line_id": pl.String})
    assert pseudonymised(stream, empty, customers).equals(empty)
    without = pl.DataFrame({"line_id": ["1"]})
    assert pseudonymised(stream, without, customers).equals(without)


def test_a_column_that_is_no_contract_column_is_not_touched(keyring):
    frame = pl.DataFrame({"inspection_id": ["1"], "customer_id": ["kept as an extra column"]})
    assert pseudonymised(INSPECTIONS, frame, Pseudonyms(keyring)).equals(frame)


def test_numbers_are_ids_too(keyring):
    frame = pl.DataFrame({"line_id": ["1"], "customer_id": [17850]})
    assert ids(pseudonymised(ORDERS, frame, Pseudonyms(keyring))) == [keyring.find("17850")]


@pytest.mark.parametrize("stream", [ORDERS, RETURNS])
def test_an_export_of_ours_is_not_taken_for_a_delivery_of_the_shop(keyring, stream):
    ours = keyring.register(["anna"])["anna"]
    frame = pl.DataFrame({"line_id": ["1", "2", "3", "4"], "customer_id": ["bert", ours, None, ours]})
    with pytest.raises(SourceError, match=r"2 rows of 1 customers, the first is row 2.*\[customer_id_is_pseudonym\]") as error:
        pseudonymised(stream, frame, Pseudonyms(keyring))
    assert (error.value.row, error.value.column) == (2, "customer_id")
    assert keyring.find("bert") is None
    assert pseudonymised(stream, frame, AS_DELIVERED) is frame


def test_as_delivered_changes_nothing(keyring):
    frame = pl.DataFrame({"line_id": ["1"], "customer_id": ["anna"]})
    assert pseudonymised(ORDERS, frame, AS_DELIVERED) is frame


def test_what_comes_back_of_a_forgotten_customers_line_lies_under_the_old_pseudonym(keyring):
    customers = Pseudonyms(keyring)
    old = keyring.register(["anna"])["anna"]
    keyring.begin_forgetting("anna", ["l1"], "a clerk", "asked", 1)
    late = pl.DataFrame({"return_id": ["r1", "r2"], "line_id": ["l1", "l1"], "customer_id": ["anna", None]})
    assert ids(pseudonymised(RETURNS, late, customers)) == [old, None]
    assert keyring.find("anna") is None
    new = ids(pseudonymised(ORDERS, pl.DataFrame({"line_id": ["l1"], "customer_id": ["anna"]}), customers))
    assert new == [keyring.find("anna")]
    assert new != [old]
    both = pl.DataFrame({"return_id": ["r1", "r2"], "line_id": ["l1", "l2"], "customer_id": ["anna", "anna"]})
    assert ids(pseudonymised(RETURNS, both, customers)) == [old, *new]


def test_no_id_of_the_shop_is_in_a_landing_file_and_the_same_delivery_again_is_none(keyring, tmp_path):
    frame = pl.DataFrame(
        {
            "line_id": ["1", "2"],
            "order_id": ["1", "2"],
            "ordered_at": ["2025-01-01 10:00:00", "2025-01-02 10:00:00"],
            "customer_id": ["distinctive-anna", "distinctive-bert"],
            "article_id": ["a", "b"],
            "quantity": [1, 1],
            "unit_price_cents": [100, 100],
            "currency": ["EUR", "EUR"],
        }
    ).with_columns(pl.col("ordered_at").str.to_datetime(time_unit="us"))
    landing = tmp_path / "landing"
    first, again = (
        deliver(landing, [Draft(ORDERS, frame, True)], "a test", VirtualClock(1), Pseudonyms(keyring))[0] for _ in range(2)
    )
    assert (first.days_written, again.days_written) == (2, 0)
    found = [ids(pl.read_parquet(last_version(landing, "orders", day).path)) for day in days(landing, "orders")]
    assert found == [[keyring.find("distinctive-anna")], [keyring.find("distinctive-bert")]]
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and b"distinctive" in f.read_bytes()]
