"""Conditions, joins, lookups, sums of the mapping language: exact rows from small files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from returnml.clock import VirtualClock
from returnml.instants import instant_us
from returnml.settings import LabelSettings
from returnml.sources.import_error import SourceError
from returnml.sources.mapped.dry_run import summary
from returnml.sources.mapped.mapped_tables import Given, Prepared, prepare

NOW_US = instant_us(datetime(2025, 8, 1))
COLUMNS = {
    "line_id": '"id"', "order_id": '"order"', "ordered_at": '"at"', "customer_id": '"who"', "article_id": '"what"',
    "quantity": '"n"', "unit_price_cents": '"price"',
}  # fmt: skip
HEADER = "id,order,at,who,what,n,price"


def mapping_of(top: str = "", orders: str = "", returns: str = "", /, **columns: str) -> str:
    """A mapping with some columns of orders said in another way."""
    said = "\n".join(f"{name} = {value}" for name, value in (COLUMNS | columns).items())
    return f'shop = "s"\n{top}\n[orders]\n{orders}\n[orders.columns]\n{said}\n[orders.constants]\ncurrency = "EUR"\n{returns}'


def prepared(tmp_path: Path, mapping: str, files: dict[str, str], **given: str) -> Prepared:
    """An import that is ready to be delivered."""
    (tmp_path / "mapping.toml").write_text(mapping)
    tables = {}
    for name, content in files.items():
        tables[name] = tmp_path / f"{name}.csv"
        tables[name].write_text(content)
    return prepare(Given(tmp_path / "mapping.toml", tables, **given), tmp_path / "landing", LabelSettings(), VirtualClock(NOW_US))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sales", "pieces", "digits", "price"),
    [
        ("957.5775", "5", "", 19152),  # 191.5155
        ("0.01", "2", "", 1),  # half a cent
        ("-0.01", "2", "", -1),
        ("10", "3", "", 333),
        ("20", "3", "", 667),
        ("1234567.89", "7", "", 17636684),
        ("1000", "3", "minor_digits = 0", 333),
    ],
)
def test_a_lines_total_divided_by_its_pieces_is_exact(tmp_path: Path, sales: str, pieces: str, digits: str, price: int) -> None:
    mapping = mapping_of(digits, unit_price_cents='{ column = "price", divided_by = "n" }')
    done = prepared(tmp_path, mapping, {"orders": f"{HEADER}\na,o,2025-01-01,k,x,{pieces},{sales}\n"})
    assert done.orders["unit_price_cents"].to_list() == [price]


def test_division_by_nothing_is_refused_and_quantities_are_whole(tmp_path: Path) -> None:
    mapping = mapping_of(unit_price_cents='{ column = "price", divided_by = "n" }')
    with pytest.raises(SourceError, match=r"row 1, column 'price-n': cannot read '5' as unit_price_cents \[integer_value\]"):
        prepared(tmp_path, mapping, {"orders": f"{HEADER}\na,o,2025-01-01,k,x,0,5\n"})
    mapping = mapping_of(quantity='{ column = "n", divided_by = 2 }')
    with pytest.raises(SourceError, match=r"cannot read '3' as quantity"):
        prepared(tmp_path, mapping, {"orders": f"{HEADER}\na,o,2025-01-01,k,x,3,5\n"})


def test_negative_rows_are_returns_of_the_same_file(tmp_path: Path) -> None:
    returns = """[returns]
from = "orders"
where = [{ column = "n", below = 0 }]
[returns.columns]
return_id = "id"
returned_at = "at"
customer_id = "who"
article_id = "what"
quantity = { column = "n", negated = true }
refund_cents = { column = "price", times = "n", negated = true }
[returns.constants]
currency = "EUR"
"""
    mapping = mapping_of("", 'where = [{ column = "n", above = 0 }]', returns)
    rows = f"{HEADER}\na,o,2025-01-01,k,x,2,5.25\nb,o,2025-01-09,k,x,-2,5.25\nc,o,2025-01-01,k,y,0,1\n"
    done = prepared(tmp_path, mapping, {"orders": rows})
    assert done.orders["line_id"].to_list() == ["a"]
    assert done.returns is not None
    assert done.returns.select("return_id", "quantity", "refund_cents").rows() == [("b", 2, 1050)]
    assert done.mapped_orders.chosen.left_out == {"n above 0": 2}


def test_a_number_that_a_condition_cannot_read_is_refused(tmp_path: Path) -> None:
    mapping = mapping_of("", 'where = [{ column = "n", above = 0 }]')
    with pytest.raises(SourceError, match=r"row 2, column 'n': cannot read 'two' as a number; 1 rows .*\[number_value\]"):
        prepared(tmp_path, mapping, {"orders": f"{HEADER}\na,o,2025-01-01,k,x,2,5\nb,o,2025-01-01,k,x,two,5\n"})


def test_date_and_time_words_first_of_and_what_stands_for_nothing(tmp_path: Path) -> None:
    columns = {
        "ordered_at": '["day", "hour"]',
        "article_id": '{ first_of = ["sku", "what"] }',
        "device": '{ column = "channel", words = { W = "web", A = "app" }, otherwise = "phone" }',
    }
    rows = "id,order,day,hour,who,what,n,price,sku,channel\na,o,2025-01-01,10:30,k,x,1,5,,W\nb,o,2025-01-01,11:00,k,x,1,5,s,\n"
    done = prepared(tmp_path, mapping_of(**columns), {"orders": rows})
    assert done.orders.select("ordered_at", "article_id", "device").rows() == [
        (datetime(2025, 1, 1, 10, 30), "x", "web"),
        (datetime(2025, 1, 1, 11), "s", "phone"),
    ]


def test_what_only_the_first_row_of_an_order_has_is_filled_down(tmp_path: Path) -> None:
    mapping = mapping_of("", 'fill_down = { by = ["order"], columns = ["at", "who"] }')
    rows = f"{HEADER}\na,o,2025-01-01,k,x,1,5\nb,o,,,y,1,5\nc,p,2025-01-02,,x,1,5\n"
    done = prepared(tmp_path, mapping, {"orders": rows})
    assert done.orders.select("line_id", "customer_id").rows() == [("a", "k"), ("b", "k"), ("c", None)]


def test_other_tables_are_looked_up(tmp_path: Path) -> None:
    mapping = mapping_of("", 'lookup = [{ table = "articles", on = { what = "sku" } }]', product_group='"articles.group"')
    orders = f"{HEADER}\na,o,2025-01-01,k,x,1,5\nb,o,2025-01-01,k,z,1,5\n"
    done = prepared(tmp_path, mapping, {"orders": orders, "articles": "sku,group,note\nx,shoes,1\nx,shoes,2\ny,hats,3\n"})
    assert done.orders["product_group"].to_list() == ["shoes", None]
    assert any("of 2 rows 1 have no row in articles" in warning for warning in done.warnings)
    with pytest.raises(SourceError, match=r"row 1: sku 'x' stands in several rows with other values.*\[lookup_key\]"):
        prepared(tmp_path, mapping, {"orders": orders, "articles": "sku,group\nx,shoes\nx,hats\n"})
    with pytest.raises(SourceError, match=r"articles: the mapping looks rows up in it: say --table articles=FILE"):
        prepared(tmp_path, mapping, {"orders": orders})


def test_guests_have_no_history_but_their_order(tmp_path: Path) -> None:
    mapping = mapping_of("", 'guests = "by_order"\nguest_values = ["0"]')
    rows = f"{HEADER}\na,o,2025-01-01,0,x,1,5\nb,o,2025-01-01,0,y,1,5\nc,p,2025-01-02,,x,1,5\nd,q,2025-01-02,k,x,1,5\n"
    done = prepared(tmp_path, mapping, {"orders": rows})
    assert done.orders["customer_id"].to_list() == ["guest-o", "guest-o", "guest-p", "k"]
    assert done.mapped_orders.guests == 3


def test_a_row_a_piece_is_a_line_a_piece(tmp_path: Path) -> None:
    mapping = (
        mapping_of(line_id='["order", "what", "#"]')
        .replace('quantity = "n"\n', "")
        .replace('currency = "EUR"', 'currency = "EUR"\nquantity = 1')
    )
    rows = "order,at,who,what,price\no,2025-01-01,k,x,5\no,2025-01-01,k,x,5\no,2025-01-01,k,y,5\n"
    done = prepared(tmp_path, mapping, {"orders": rows})
    assert done.orders.select("line_id", "quantity").rows() == [("o-x-0001", 1), ("o-x-0002", 1), ("o-y-0001", 1)]


def test_nothing_is_carried_along_that_was_not_asked_for(tmp_path: Path) -> None:
    rows = f"{HEADER},mail,channel\na,o,2025-01-01,k,x,1,5,me@example.org,web\n"
    done = prepared(tmp_path, mapping_of(), {"orders": rows})
    assert (done.mapped_orders.carried, done.mapped_orders.left_out) == ((), ("mail", "channel"))
    done = prepared(tmp_path, mapping_of("", 'carry = ["*"]'), {"orders": rows})
    assert [w for w in done.warnings if "'mail' is carried along as it is and has mail addresses in 1 of 1 values" in w]
    with pytest.raises(SourceError, match=r"column 'chanel': the mapping carries it along, the file has .* \[required_column\]"):
        prepared(tmp_path, mapping_of("", 'carry = ["chanel"]'), {"orders": rows})


def test_rows_that_cannot_be_read_are_set_aside_with_the_shops_row(tmp_path: Path) -> None:
    rows = f"{HEADER}\na,o,2025-01-01,k,x,1,5\nb,o,2025-01-01,k,x,one,5\nc,o,2025-01-01\n\n"
    rows += "d,o,never,k,x,two,5\ne,o,2025-01-01,k,x,1,5\n"
    with pytest.raises(SourceError, match=r"row 3: 3 fields, expected 7 \[field_count\]"):
        prepared(tmp_path, mapping_of(), {"orders": rows})
    done = prepared(tmp_path, mapping_of(), {"orders": rows}, bad_rows="quarantine")
    assert done.orders["line_id"].to_list() == ["a", "e"]
    assert [(Path(r.file).name, r.row, r.rule, r.column) for r in done.refused] == [
        ("orders.csv", 3, "field_count", None),
        ("orders.csv", 4, "timestamp_value", "at"),
        ("orders.csv", 2, "integer_value", "n"),
        ("orders.csv", 4, "integer_value", "n"),
    ]
    two = rows.replace("c,o,2025-01-01\n", "")
    told = r"row 3, column 'at': cannot read 'never' as ordered_at; 2 rows integer_value in 'n' \[timestamp_value\]"
    with pytest.raises(SourceError, match=told):
        prepared(tmp_path, mapping_of(), {"orders": two})


def test_a_dry_run_says_what_would_land(tmp_path: Path) -> None:
    mapping = mapping_of("", 'where = [{ column = "n", above = 0 }]')
    rows = f"{HEADER},mail\na,o,2025-01-01,k,x,1,1.234,\nb,o,2025-01-03,,x,2,7,\nc,o,2025-01-03,k,x,-1,7,\n"
    found = summary(prepared(tmp_path, mapping, {"orders": rows}))
    [table] = found.tables
    assert (table.read, table.rows, table.left_out, table.refused) == (3, 2, {"n above 0": 1}, {})
    assert table.quarantined == {"customer_id_missing": 1}
    assert table.money == {"unit_price_cents EUR": (123, 700, 700, 823)}
    assert (table.first, table.last) == ("2025-01-01 00:00:00", "2025-01-03 00:00:00")
    assert (table.carried, table.unused, table.missing) == ((), ("mail",), {"customer_id": 1})
    assert ["1 of 2 values, first '1.234' in row 1" in reading for reading in table.second_readings] == [True]
    assert found.text().endswith("nothing was delivered (--dry-run)")
    assert not (tmp_path / "landing").exists()


@pytest.mark.parametrize(
    ("columns", "orders", "message"),
    [
        ({"quantity": '{ column = "n", above = 0 }'}, "", r"above makes a boolean, this is a integer \[mapping_field\]"),
        ({"article_id": '{ column = "what", negated = true }'}, "", r"a string is not calculated with"),
        ({"article_id": "{ otherwise = 1 }"}, "", r"names no column of the file"),
        ({"article_id": '{ column = "what", first_of = ["n"] }'}, "", r"column and first_of: say one of them"),
        ({"article_id": '{ column = "what", wrods = {} }'}, "", r"unknown field `wrods`"),
        ({}, 'where = [{ column = "n" }]', r"column 'orders.where\[0\]': nothing: say one of is, is_not"),
        ({}, 'where = [{ column = "n", above = 1, below = 3 }]', r"above and below: say one of"),
        ({}, 'link = { by = "order", order_id = "order" }', r"is for returns that do not name their line"),
        (
            {},
            'where = [{ column = "m", above = 1 }]',
            r"column 'm': the mapping names it, the file has id, .*",
        ),
    ],
)
def test_what_a_mapping_may_not_say(tmp_path: Path, columns: dict[str, str], orders: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        prepared(tmp_path, mapping_of("", orders, **columns), {"orders": f"{HEADER}\na,o,2025-01-01,k,x,1,5\n"})


def test_files_of_a_folder_are_named_in_errors(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1.csv").write_text(f"{HEADER}\na,o,2025-01-01,k,x,1,5\n")
    pl.DataFrame(
        {name: [v] for name, v in zip(HEADER.split(","), ["b", "o", "soon", "k", "x", "1", "5"], strict=True)}
    ).write_parquet(folder / "2.parquet")
    (tmp_path / "mapping.toml").write_text(mapping_of())
    given = Given(tmp_path / "mapping.toml", {"orders": folder})
    with pytest.raises(SourceError, match=r"2\.parquet, row 1, column 'at': cannot read 'soon'"):
        prepare(given, tmp_path / "landing", LabelSettings(), VirtualClock(NOW_US))
