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
from returnml.instants import instant_us
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import LabelSettings, Settings
from returnml.sources.delivery import Words
from returnml.sources.import_error import SourceError
from returnml.sources.landing import days
from returnml.sources.mapped.mapped_tables import NO_OUTCOMES, MappedImport, import_mapped
from returnml.sources.mapped.mapping import load_mapping
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml_tests.landed import last_version

NOW_US = instant_us(datetime(2025, 8, 1))
EXAMPLE = Path(__file__).parents[3] / "docs" / "mapping-example.toml"
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
    return import_mapped("csv", mapping, orders_file, second, landing, LabelSettings(), VirtualClock(NOW_US), AS_DELIVERED)


def _mapping(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "mapping.toml"
    path.write_text(content)
    return path


def _landed(tmp_path: Path, stream: str, day: date) -> pl.DataFrame:
    return pl.read_parquet(last_version(tmp_path / "landing", stream, day).path)


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
        ("a,1900-01-01,k,x,1,5", r"row 2, column 'at': '1900-01-01' is before 1990 \[time_too_early\]"),
        (
            "a,2205-01-01,k,x,1,5\nb,2025-01-01,k,x,1,5\nc,2100-01-01,k,x,1,5",
            r"row 2, column 'at': '2205-01-01' is not before 2100 \(and 1 more rows\) \[time_in_future\]",
        ),
        ("a,2025-01-01,k,x,1", r"row 2: 5 fields, expected 6 \[field_count\]"),
    ],
)
def test_unreadable_value_refuses_the_file_and_nothing_is_delivered(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        _import(tmp_path, _mapping(tmp_path, MINIMAL), f"id,at,who,what,n,price\nz,2025-01-01,k,x,1,5\n{row}\n")
    assert days(tmp_path / "landing", "orders") == []


@pytest.mark.parametrize("at", ["1740823200000", "1740823200000000", "9223372036854775807"])
def test_a_unit_of_time_that_is_another_refuses_the_file_by_row(tmp_path: Path, at: str) -> None:
    """Milliseconds and microseconds where seconds are declared."""
    mapping = _mapping(tmp_path, MINIMAL.replace("[orders.columns]", '[orders]\ndatetime_format = "epoch_s"\n[orders.columns]'))
    with pytest.raises(SourceError, match=rf"row 2, column 'at': cannot read '{at}' as ordered_at \[timestamp_value\]"):
        _import(tmp_path, mapping, f"id,at,who,what,n,price\nz,1740823200,k,x,1,5\na,{at},k,x,1,5\n")
    assert days(tmp_path / "landing", "orders") == []


def test_missing_and_unmapped_columns_are_refused_and_optional_ones_are_null(tmp_path: Path) -> None:
    mapping = _mapping(tmp_path, MINIMAL)
    with pytest.raises(SourceError, match=r"column 'price': the mapping names it, the file has id, .* \[required_column\]"):
        _import(tmp_path, mapping, "id,at,who,what,n\na,2025-01-01,k,x,1\n")
    with pytest.raises(
        SourceError, match=r"column 'Size': is named like a contract column: map or ignore it \[unmapped_column\]"
    ):
        _import(tmp_path, mapping, "id,at,who,what,n,price,Size\na,2025-01-01,k,x,1,5,M\n")
    _import(tmp_path, EXAMPLE, ORDERS)
    assert _landed(tmp_path, "orders", date(2025, 7, 1))["voucher_code"].null_count() == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('shop = "s"\n', "", r"mapping\.toml: Object missing required field `shop` \[mapping_field\]"),
        ('shop = "s"', "shop = ", r"\[mapping_syntax\]"),
        ('shop = "s"', 'shop = "s"\ncolour = 1', r"unknown field `colour`"),
        ('shop = "s"', 'shop = "s"\ntimezone = "Mars"', r"column 'timezone': 'Mars' is no IANA time zone"),
        (
            'shop = "s"',
            'shop = "s"\nblank_flag = "kept"',
            r"column 'blank_flag': says what a blank is_returned means, which is not",
        ),
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


BLANK = (
    "id,at,who,what,n,price,back\na,2025-01-31,k,x,1,5,yes\nb,2025-01-31,k,y,1,6,\nc,2025-01-31,k,z,1,6,\nd,2025-03-01,k,x,1,5,\n"
)


def test_blank_flags_of_old_lines_are_counted_and_refused(tmp_path: Path) -> None:
    message = r"orders\.csv, row 2, column 'back': 2 of the 3 lines whose return window was over have no flag.*\[blank_flag\]"
    with pytest.raises(SourceError, match=message):
        _import(tmp_path, _mapping(tmp_path, FLAGGED), BLANK)
    assert days(tmp_path / "landing", "orders") == []


@pytest.mark.parametrize(("means", "outcomes"), [("kept", [("a", 1), ("b", 0), ("c", 0)]), ("unknown", [("a", 1)])])
def test_blank_flags_are_read_as_the_mapping_says(tmp_path: Path, means: str, outcomes: list) -> None:
    done = _import(tmp_path, _mapping(tmp_path, f'blank_flag = "{means}"\n{FLAGGED}'), BLANK)
    assert (done.blank_flags, done.young_flags) == (2, 0)
    first, last = date(2025, 1, 31), date(2025, 4, 5)
    with duckdb.connect() as con:
        ingest_raw(con, ORDERS_STREAM, first, last, tmp_path / "landing", Settings())
        build_core(con, ORDERS_STREAM, first, last)
        build_outcomes(con, first, last, LabelSettings())
        assert con.execute("SELECT line_id, returned FROM core.outcomes ORDER BY 1").fetchall() == outcomes


def test_an_export_from_the_future_is_refused(tmp_path: Path) -> None:
    mapping = _mapping(tmp_path, FLAGGED.replace("2025-03-02T00", "2025-08-01T01"))
    with pytest.raises(SourceError, match=r"'2025-08-01T01:00:00Z' is after now \(2025-08-01 00:00 UTC\).*\[export_in_future\]"):
        _import(tmp_path, mapping, BLANK)
    _import(tmp_path, _mapping(tmp_path, 'blank_flag = "kept"\n' + FLAGGED.replace("2025-03-02T00", "2025-08-01T00")), BLANK)


def test_an_import_that_says_nothing_about_outcomes_says_so(tmp_path: Path) -> None:
    assert _import(tmp_path, EXAMPLE, ORDERS).warnings == (NO_OUTCOMES,)
    assert _import(tmp_path, EXAMPLE, ORDERS, RETURNS).warnings == ()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Note,note", r"column 'note': differs from 'Note' in case only: ignore it \[ambiguous_column\]"),
        ("Country,x", r"column 'Country': is named like a contract column: map or ignore it \[unmapped_column\]"),
        ("QUANTITY,x", r"column 'QUANTITY': is named like a contract column"),
        ("Is_Return_Flag_Open,x", r"column 'Is_Return_Flag_Open': is named like a contract column"),
        ("File_Row_Number,x", r"column 'File_Row_Number': the name is reserved: ignore it \[reserved_column\]"),
    ],
)
def test_names_that_landing_files_may_not_have_are_refused_at_the_door(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        _import(tmp_path, _mapping(tmp_path, MINIMAL), f"id,at,who,what,n,price,{header}\na,2025-01-01,k,x,1,5,1,2\n")
    assert days(tmp_path / "landing", "orders") == []
    ignored = MINIMAL.replace("[orders.columns]", f"[orders]\nignore = {header.split(',')}\n[orders.columns]")
    _import(tmp_path, _mapping(tmp_path, ignored), f"id,at,who,what,n,price,{header}\na,2025-01-01,k,x,1,5,1,2\n")
    with duckdb.connect() as con:
        report = ingest_raw(con, ORDERS_STREAM, date(2025, 1, 1), date(2025, 1, 1), tmp_path / "landing", Settings())
    assert (report.refused, report.rows) == ((), 1)


def test_a_mapping_without_a_zone_takes_the_shops(tmp_path: Path) -> None:
    assert load_mapping(_mapping(tmp_path, MINIMAL), "Europe/Berlin").timezone == "Europe/Berlin"
    own = _mapping(tmp_path, MINIMAL.replace('shop = "s"', 'shop = "s"\ntimezone = "Asia/Tokyo"'))
    assert load_mapping(own, "Europe/Berlin").timezone == "Asia/Tokyo"


CURRENCIES = MINIMAL.replace('[orders.constants]\ncurrency = "EUR"\n', 'currency = "money"\n')
PRICES = "id,at,who,what,n,price,money\na,2025-01-01,k,x,1,1500,JPY\nb,2025-01-01,k,x,1,12.5,EUR\nc,2025-01-01,k,x,1,1.5,KWD\n"


def test_amounts_have_the_minor_unit_of_their_currency(tmp_path: Path) -> None:
    _import(tmp_path, _mapping(tmp_path, CURRENCIES), PRICES)
    assert _landed(tmp_path, "orders", date(2025, 1, 1))["unit_price_cents"].to_list() == [1500, 1250, 1500]


def test_values_that_could_be_read_in_another_way_are_counted_with_an_example(tmp_path: Path) -> None:
    rows = (
        "id,at,who,what,n,price,money\na,2025-01-01,17850.0,x,1,1.234,EUR\nb,2025-01-01, k,x,1.000,1.5,JPY\n"
        "c,2025-01-01,k,x,1,0.999,EUR\nd,2025-01-01,,x,1,12.345,EUR\n"
    )
    done = _import(tmp_path, _mapping(tmp_path, "minor_digits = 2\n" + CURRENCIES), rows)
    assert [w.partition(": ")[0] + w.partition(": ")[2].partition(":")[0] for w in done.warnings[:-1]] == [
        "orders.customer_id1 of 3 values, first '17850.0' in row 1",
        "orders.customer_id1 of 3 values, first ' k' in row 2",
        "orders.quantity1 of 4 values, first '1.000' in row 2",
        "orders.unit_price_cents2 of 4 values, first '1.234' in row 1",
        "orders.unit_price_cents1 of 4 values, first '1.5' in row 2",
    ]
    assert "thousands = '.' and decimal = ','" in done.warnings[3]
    landed = _landed(tmp_path, "orders", date(2025, 1, 1))
    assert landed["customer_id"].to_list() == ["17850.0", " k", "k", None]
    assert landed["unit_price_cents"].to_list() == [123, 150, 100, 1235]


def test_declared_thousands_are_no_guess(tmp_path: Path) -> None:
    german = 'decimal = ","\nthousands = "."\n' + MINIMAL
    done = _import(tmp_path, _mapping(tmp_path, german), "id,at,who,what,n,price\na,2025-01-01,k,x,1,1.234\n")
    assert done.warnings == (NO_OUTCOMES,)
    assert _landed(tmp_path, "orders", date(2025, 1, 1))["unit_price_cents"].to_list() == [123_400]


def test_rows_far_from_the_others_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"a{n},2025-01-{n:02},k,x,1,5\n" for n in range(1, 25)) + "b,2005-01-05,k,x,1,5\n"
    done = _import(tmp_path, _mapping(tmp_path, MINIMAL), f"id,at,who,what,n,price\n{rows}")
    assert [w for w in done.warnings if "2005-01-05" in w and "1 rows lie more than a year away" in w and "row 25" in w]


@pytest.mark.parametrize(("own", "shops"), [("", "Europe/Berlin"), ('timezone = "Europe/Berlin"\n', "Asia/Tokyo")])
def test_a_period_is_one_of_the_zone_that_the_rows_times_are_read_in(tmp_path: Path, own: str, shops: str) -> None:
    """Whether the zone is the mapping's own or the shop's: 00:30 in Berlin lies in the UTC day before."""
    mapping, file = _mapping(tmp_path, own + MINIMAL), tmp_path / "orders.csv"
    landing, clock = tmp_path / "landing", VirtualClock(NOW_US)

    def deliver(rows: str, replaced: str | None) -> None:
        file.write_text(f"id,at,who,what,n,price\n{rows}")
        words = Words(may_lose=True)
        import_mapped(
            "csv", mapping, file, None, landing, LabelSettings(), clock, AS_DELIVERED, shops, replaced=replaced, words=words
        )

    deliver("a,2025-02-01 23:30,k,x,1,5\nb,2025-02-02 00:30,k,x,1,5\n", None)
    deliver("c,2025-02-02 00:45,k,x,1,5\n", "2025-02-02")
    assert _landed(tmp_path, "orders", date(2025, 2, 1)).select("line_id", "ordered_at").rows() == [
        ("a", datetime(2025, 2, 1, 22, 30)),
        ("c", datetime(2025, 2, 1, 23, 45)),
    ]
