"""The Online Retail import: mapping and linking on handfuls of rows, and the baseline's label on the real files."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from returnml.clock import VirtualClock
from returnml.privacy.customers import AS_DELIVERED
from returnml.sources.import_error import SourceError
from returnml.sources.landing import days
from returnml.sources.online_retail import RAW_COLUMNS, import_online_retail, read_files, to_streams
from returnml_tests.landed import last_version

HEADER = ",".join(RAW_COLUMNS)


def _write(folder: Path, name: str, *rows: str, header: str = HEADER) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def _raw(folder: Path, *rows: str) -> pl.DataFrame:
    _write(folder, "2011-01-01.csv", *rows)
    return read_files(folder)


def test_every_column_of_an_order_line(tmp_path: Path) -> None:
    orders, returns, _ = to_streams(_raw(tmp_path, "1,85123AB,LAMP,6,2011-01-01 08:26:00,2.55,17850.0,France"))
    assert returns.height == 0
    assert orders.to_dicts() == [
        {
            "line_id": "1-0001",
            "order_id": "1",
            "ordered_at": datetime(2011, 1, 1, 8, 26),
            "customer_id": "17850",
            "article_id": "85123AB",
            "quantity": 6,
            "unit_price_cents": 255,
            "product_group": "85123",
            "color": "AB",
            "country": "France",
            "is_goods": True,
            "description": "LAMP",
            "currency": "GBP",
        }
    ]


def test_dirty_rows_and_service_codes_pass_through(tmp_path: Path) -> None:
    orders, _, _ = to_streams(
        _raw(
            tmp_path,
            "1,POST,POSTAGE,1,2011-01-01 08:00:00,18.00,,France",
            "2,22139,,-3,2011-01-01 08:00:00,0.00,,France",
        )
    )
    assert orders.select("article_id", "product_group", "color", "is_goods", "customer_id", "quantity").rows() == [
        ("POST", "POST", None, False, None, 1),
        ("22139", "22139", None, True, None, -3),
    ]


def test_return_is_split_where_it_exceeds_the_line_and_orphaned_where_nothing_is_left(tmp_path: Path) -> None:
    _, returns, coverage = to_streams(
        _raw(
            tmp_path,
            "1,22139,X,5,2011-01-01 08:00:00,2.00,1.0,France",
            "C2,22139,X,-3,2011-01-01 09:00:00,2.00,1.0,France",
            "C3,22139,X,-4,2011-01-01 10:00:00,2.00,1.0,France",
            "C4,22139,X,-1,2011-01-01 11:00:00,2.00,1.0,France",
            "C5,22140,X,-1,2011-01-01 11:00:00,2.00,1.0,France",
            "C6,D,DISCOUNT,-1,2011-01-01 11:00:00,2.00,1.0,France",
        )
    )
    assert returns.select("return_id", "line_id", "quantity", "refund_cents", "customer_id", "article_id").rows() == [
        ("C2-0001", "1-0001", 3, 600, "1", "22139"),
        ("C3-0001", "1-0001", 2, 400, "1", "22139"),
        ("C3-0001-x", None, 2, 400, "1", "22139"),
        ("C4-0001", None, 1, 200, "1", "22139"),
        ("C5-0001", None, 1, 200, "1", "22140"),
        ("C6-0001", None, 1, 200, "1", "D"),
    ]
    assert (coverage.linkable, coverage.linked, coverage.split) == (4, 2, 1)
    assert (coverage.exhausted, coverage.unmatched, coverage.not_linkable) == (1, 1, 1)


def test_return_links_to_the_latest_purchase_and_of_exact_duplicates_to_the_first(tmp_path: Path) -> None:
    _, returns, _ = to_streams(
        _raw(
            tmp_path,
            "1,22139,X,5,2011-01-01 08:00:00,2.00,1.0,France",
            "2,22139,X,5,2011-01-01 09:00:00,2.00,1.0,France",
            "2,22139,X,5,2011-01-01 09:00:00,2.00,1.0,France",
            "C3,22139,X,-1,2011-01-01 09:00:00,2.00,1.0,France",
            "4,22139,X,5,2011-01-01 09:01:00,2.00,1.0,France",
            "5,22139,X,5,2011-01-01 08:59:00,2.00,2.0,France",
        )
    )
    assert returns["line_id"].to_list() == ["2-0001"]


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (
            ["1,2,X,many,2011-01-01 08:00:00,1,1.0,F"],
            HEADER,
            r"01\.csv, row 1, column 'Quantity': cannot read 'many' \[value_type\]",
        ),
        (["1,2,X,1,2011-13-01 08:00:00,1,1.0,F"], HEADER, r"row 1, column 'InvoiceDate': cannot read '2011-13-01 08:00:00'"),
        (["1,2,X,1,2011-01-01 08:00:00,1,me,F"], HEADER, r"row 1, column 'CustomerID': cannot read 'me'"),
        (["1,2,X,1,2011-01-01 08:00:00,1,1.0,F", "1,2"], HEADER, r"row 2: 2 fields, expected 8 \[field_count\]"),
        (["1,2,X,,2011-01-01 08:00:00,1,1.0,F"], HEADER, r"row 1, column 'Quantity': no value \[value_type\]"),
        ([], HEADER, r"no row \[no_rows\]"),
        (
            ["1,2,X,1,2011-01-01 08:00:00,1,1.0"],
            HEADER.replace(",Country", ""),
            r"column 'Country': the column is missing \[required_column\]",
        ),
        (
            ["1,2,X,1,2011-01-01 08:00:00,1,1.0,F,red"],
            HEADER + ",Colour",
            r"column 'Colour': expected only .* \[unknown_column\]",
        ),
    ],
)
def test_bad_file_is_refused_by_name_row_and_column(tmp_path: Path, rows: list[str], header: str, message: str) -> None:
    _write(tmp_path, "2011-01-01.csv", *rows, header=header)
    with pytest.raises(SourceError, match=message):
        read_files(tmp_path)


def test_empty_file_and_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no_files"):
        read_files(tmp_path)
    (tmp_path / "2011-01-01.csv").touch()
    with pytest.raises(SourceError, match=r"2011-01-01\.csv: the file is empty \[empty_file\]"):
        read_files(tmp_path)


def _baseline_positives(raw: pl.DataFrame) -> set[tuple[str, ...]]:
    """The published rule, written a second time as plain loops: raw sale rows with a linked return within 30 days."""
    goods = [
        row
        for row in raw.select(*RAW_COLUMNS).iter_rows()
        if row[6] is not None and row[5] > 0 and row[1][:5].isdigit() and len(row[1]) >= 5
    ]
    sales = {row: None for row in goods if not row[0].startswith("C") and row[3] > 0}
    history: dict[tuple[float, str], list[tuple[str, str, int, int]]] = {}
    order = list(sales)
    for i, row in enumerate(order):
        history.setdefault((row[6], row[1]), []).append((row[4], row[0], row[3], i))
    for purchases in history.values():
        purchases.sort()
    positive = set()
    for row in goods:
        if row[0].startswith("C"):
            earlier = [p for p in history.get((row[6], row[1]), []) if p[0] <= row[4]]
            if earlier and datetime.fromisoformat(row[4]) - datetime.fromisoformat(earlier[-1][0]) <= timedelta(days=30):
                positive.add(order[earlier[-1][3]])
    return {tuple(str(value) for value in row) for row in positive}


def test_real_files_every_row_once_and_the_label_is_the_baselines(tmp_path: Path, online_retail_folder: Path) -> None:
    raw = read_files(online_retail_folder)
    orders, returns, coverage = to_streams(raw)
    assert raw.height == 541_909
    assert orders.height + returns.height - coverage.split == raw.height
    assert orders["line_id"].n_unique() == orders.height
    assert returns["return_id"].n_unique() == returns.height
    assert returns["quantity"].sum() == -raw.filter(pl.col("InvoiceNo").str.starts_with("C"))["Quantity"].sum()

    linked = returns.join(orders.select("line_id", "ordered_at", sold="quantity"), on="line_id")
    assert (linked["returned_at"] >= linked["ordered_at"]).all()
    per_line = linked.group_by("line_id").agg(pl.col("quantity").sum(), pl.col("sold").first())
    assert (per_line["quantity"] <= per_line["sold"]).all()

    within = linked.filter(pl.col("returned_at") - pl.col("ordered_at") <= pl.duration(days=30))["line_id"].unique()
    keyed = raw.filter(~pl.col("InvoiceNo").str.starts_with("C")).with_columns(orders["line_id"])
    rows = keyed.filter(pl.col("line_id").is_in(within.implode())).select(*RAW_COLUMNS).rows()
    ours = {tuple(str(value) for value in row) for row in rows}
    assert len(ours) == within.len()
    assert ours == _baseline_positives(raw)


def test_import_delivers_each_day_once(tmp_path: Path) -> None:
    source, landing = tmp_path / "in", tmp_path / "landing"
    _write(source, "2011-01-01.csv", "1,22139,X,5,2011-01-01 08:00:00,2.00,1.0,France")
    _write(source, "2011-01-02.csv", "C2,22139,X,-3,2011-01-02 09:00:00,2.00,1.0,France")
    first = import_online_retail(source, landing, VirtualClock(1), AS_DELIVERED)
    again = import_online_retail(source, landing, VirtualClock(2), AS_DELIVERED)
    assert (first.rows, first.orders.days_written, first.returns.days_written) == (2, 2, 2)
    assert (again.orders.days_written, again.returns.days_unchanged) == (0, 2)
    assert days(landing, "orders") == days(landing, "returns") == [date(2011, 1, 1), date(2011, 1, 2)]
    empty = last_version(landing, "orders", date(2011, 1, 2))
    assert (empty.rows, empty.version) == (0, 1)
    assert pl.read_parquet(empty.path).height == 0
