"""Any shop's tables through the documented example mapping, and what a mapping or a table is refused for."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from returnml.clock import VirtualClock
from returnml.contracts.columns import OPEN_FLAG
from returnml.contracts.columns import ORDERS as ORDERS_STREAM
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import LabelSettings, Settings
from returnml.sources.import_error import SourceError
from returnml.sources.landing import current_file, days
from returnml.sources.mapped_tables import MappedImport, import_mapped
from returnml.sources.mapping import load_mapping
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core

EXAMPLE = Path(__file__).parents[2] / "docs" / "mapping-example.toml"
ORDERS = """Bestellung;Zeit;Kunde;Artikel;Menge;Preis;Groesse;Kanal;Bemerkung
B1;01.07.2025 10:00;K1;A1;1;1.234,50;M;Filiale;x
B1;01.07.2025 10:00;K1;A1;2;9,99;NULL;Filiale;
B2;02.07.2025 01:30;;A2;-1;5;L;Netz;
"""
RETURNS = """Retoure;Eingang;Bestellung;Zeile;Menge;Erstattung;Kunde;Artikel;Storno
R1;05.07.2025;B1;0001;1;1.234,50;K1;A1;N
"""
MINIMAL = """shop = "s"
[orders.columns]
line_id = "id"
order_id = "id"
ordered_at = "at"
customer_id = "who"
article_id = "what"
quantity = "n"
unit_price_cents = "price"
[orders.constants]
currency = "EUR"
"""
FLAGGED = MINIMAL.replace("[orders.columns]\n", 'exported_at = "2025-03-02T00:00:00Z"\n[orders.columns]\nis_returned = "back"\n')


def _import(tmp_path: Path, mapping: Path, orders: str, returns: str | None = None) -> MappedImport:
    orders_file, returns_file = tmp_path / "orders.csv", tmp_path / "returns.csv"
    orders_file.write_text(orders)
    if returns is not None:
        returns_file.write_text(returns)
    landing = tmp_path / "landing"
    second = None if returns is None else returns_file
    return import_mapped("csv", mapping, orders_file, second, landing, LabelSettings(), VirtualClock(1), AS_DELIVERED)


def _mapping(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "mapping.toml"
    path.write_text(content)
    return path


def _landed(tmp_path: Path, stream: str, day: date) -> pl.DataFrame:
    file = current_file(tmp_path / "landing", stream, day)
    assert file is not None
    return pl.read_parquet(file.path)


def test_documented_example_end_to_end(tmp_path: Path) -> None:
    done = _import(tmp_path, EXAMPLE, ORDERS, RETURNS)
    assert done.returns is not None
    assert (done.orders.rows, done.returns.rows, done.young_flags) == (3, 1, 0)
    assert days(tmp_path / "landing", "orders") == [date(2025, 7, 1)]
    assert days(tmp_path / "landing", "returns") == [date(2025, 7, 1), date(2025, 7, 4)]
    orders = _landed(tmp_path, "orders", date(2025, 7, 1))
    names = ["line_id", "order_id", "ordered_at", "customer_id", "quantity", "unit_price_cents", "size", "currency", "country"]
    assert orders.select(*names, "Kanal").rows() == [
        ("B1-0001", "B1", datetime(2025, 7, 1, 8), "K1", 1, 123_450, "M", "EUR", "DE", "Filiale"),
        ("B1-0002", "B1", datetime(2025, 7, 1, 8), "K1", 2, 999, None, "EUR", "DE", "Filiale"),
        ("B2-0001", "B2", datetime(2025, 7, 1, 23, 30), None, -1, 500, "L", "EUR", "DE", "Netz"),
    ]
    assert "Bemerkung" not in orders.columns
    assert _landed(tmp_path, "returns", date(2025, 7, 4)).select(
        "return_id", "returned_at", "line_id", "refund_cents", "is_cancellation"
    ).rows() == [("R1", datetime(2025, 7, 4, 22), "B1-0001", 123_450, False)]
    assert _landed(tmp_path, "returns", date(2025, 7, 1)).height == 0


def test_only_final_flags_become_outcomes(tmp_path: Path) -> None:
    rows = "id,at,who,what,n,price,back\na,2025-01-31,k,x,1,5,yes\nb,2025-01-31,k,y,1,6,no\nc,2025-02-01,k,x,1,5,no\n"
    _import(tmp_path, _mapping(tmp_path, FLAGGED), rows)
    first, last = date(2025, 1, 31), date(2025, 4, 1)
    with duckdb.connect() as con:
        report = ingest_raw(con, ORDERS_STREAM, first, last, tmp_path / "landing", Settings())
        build_core(con, ORDERS_STREAM, first, last)
        build_outcomes(con, first, last, LabelSettings())
        found = con.execute("SELECT line_id, returned, mature_at FROM core.outcomes ORDER BY 1").fetchall()
        orders = con.execute("SELECT count(*) FROM core.orders").fetchall()
    assert orders == [(3,)]
    assert report.added_columns == {}  # the mark of open flags is ours, no news
    assert found == [("a", 1, datetime(2025, 3, 2)), ("b", 0, datetime(2025, 3, 2))]


def test_flag_counts_once_the_window_was_over_at_the_export(tmp_path: Path) -> None:
    rows = "id,at,who,what,n,price,back\na,2025-01-31,k,x,1,5,yes\nb,2025-01-31,k,x,1,6,no\nc,2025-02-01,k,x,1,5,yes\n"
    done = _import(tmp_path, _mapping(tmp_path, FLAGGED), rows)
    assert (done.has_only_flags, done.young_flags, done.returns) == (True, 1, None)
    assert _landed(tmp_path, "orders", date(2025, 1, 31))["is_returned"].to_list() == [True, False]
    assert _landed(tmp_path, "orders", date(2025, 2, 1))["is_returned"].to_list() == [None]
    assert _landed(tmp_path, "orders", date(2025, 2, 1))[OPEN_FLAG].to_list() == [True]
    assert days(tmp_path / "landing", "returns") == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,yesterday,k,x,1,5", r"orders\.csv, row 2, column 'at': cannot read 'yesterday' as ordered_at \[timestamp_value\]"),
        ("a,,k,x,1,5", r"row 2, column 'at': there is no value as ordered_at \[timestamp_value\]"),
        ("a,2025-01-01,k,x,one,5", r"row 2, column 'n': cannot read 'one' as quantity \[integer_value\]"),
        ("a,2025-01-01,k,x,1,5 EUR", r"row 2, column 'price': cannot read '5 EUR' as unit_price_cents \[integer_value\]"),
        ("a,2025-01-01,k,x,1", r"row 2: 5 fields, expected 6 \[field_count\]"),
    ],
)
def test_unreadable_value_refuses_the_file_and_nothing_is_delivered(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        _import(tmp_path, _mapping(tmp_path, MINIMAL), f"id,at,who,what,n,price\nz,2025-01-01,k,x,1,5\n{row}\n")
    assert days(tmp_path / "landing", "orders") == []


def test_missing_and_unmapped_columns_are_refused_and_optional_ones_are_null(tmp_path: Path) -> None:
    mapping = _mapping(tmp_path, MINIMAL)
    with pytest.raises(SourceError, match=r"column 'price': the mapping names it, the file has id, .* \[required_column\]"):
        _import(tmp_path, mapping, "id,at,who,what,n\na,2025-01-01,k,x,1\n")
    with pytest.raises(
        SourceError, match=r"column 'size': is named like a contract column: map or ignore it \[unmapped_column\]"
    ):
        _import(tmp_path, mapping, "id,at,who,what,n,price,size\na,2025-01-01,k,x,1,5,M\n")
    _import(tmp_path, EXAMPLE, ORDERS)
    assert _landed(tmp_path, "orders", date(2025, 7, 1))["voucher_code"].null_count() == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('shop = "s"\n', "", r"mapping\.toml: Object missing required field `shop` \[mapping_field\]"),
        ('shop = "s"', "shop = ", r"\[mapping_syntax\]"),
        ('shop = "s"', 'shop = "s"\ncolour = 1', r"unknown field `colour`"),
        ('shop = "s"', 'shop = "s"\ntimezone = "Mars"', r"column 'timezone': 'Mars' is no IANA time zone"),
        ('shop = "s"', 'shop = "s"\nseparator = "ab"', r"column 'separator': 'ab': expected one character"),
        ('shop = "s"', 'shop = "s"\nthousands = "."', r"column 'thousands': is also the decimal separator"),
        ('shop = "s"', 'shop = "s"\nminor_digits = 9', r"column 'minor_digits': 9: expected 0 to 4"),
        ('quantity = "n"\n', "", r"column 'orders\.columns\.quantity': the contract needs it: .* \[unmapped_column\]"),
        ("quantity = ", "pieces = ", r"column 'orders\.columns\.pieces': no column of the orders contract"),
        ('currency = "EUR"', 'currency = "EUR"\nquantity = 1', r"quantity': is a column and a constant \[mapped_twice\]"),
        ('quantity = "n"', 'quantity = ["n", "m"]', r"a integer cannot be joined"),
        ('line_id = "id"', 'line_id = "#"', r"'#' stands last, after a column"),
        ("[orders.columns]\n", '[orders.columns]\nis_returned = "back"\n', r"column 'exported_at': needed with is_returned"),
    ],
)
def test_bad_mapping_is_refused_by_field(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        load_mapping(_mapping(tmp_path, MINIMAL.replace(old, new, 1)))


def test_returns_without_their_mapping_and_flag_beside_returns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"the mapping has no \[returns\]"):
        _import(tmp_path, _mapping(tmp_path, MINIMAL), "id,at,who,what,n,price\na,2025-01-01,k,x,1,5\n", RETURNS)
    both = FLAGGED + '[returns.columns]\nreturn_id = "r"\nreturned_at = "t"\nquantity = "q"\nrefund_cents = "c"\ncurrency = "e"\n'
    with pytest.raises(SourceError, match=r"\[flag_and_returns\]"):
        load_mapping(_mapping(tmp_path, both))
