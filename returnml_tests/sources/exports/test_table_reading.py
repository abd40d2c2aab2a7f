"""Files of all formats as texts with file and row; what is refused, by row and column."""

from __future__ import annotations

import ast
import csv
import gzip
import io
import sys
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import returnml
from returnml.sources.exports.csv_rows import BadRow, csv_rows
from returnml.sources.exports.notation import Notation
from returnml.sources.exports.table_reading import FILE, ROW, FileFormat, read_table
from returnml.sources.import_error import SourceError


def _file(tmp_path: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _rows(path: Path, notation: Notation = Notation(), file_format: FileFormat | None = None) -> list[dict[str, object]]:  # noqa: B008
    return read_table(path, notation, file_format).drop(FILE, ROW).to_dicts()


def test_csv_keeps_strings_quotes_and_line_breaks(tmp_path: Path) -> None:
    rows = _rows(_file(tmp_path, '\ufeffa;b\r\n01;"x;""y""\n z"\r\n;2\r\n'), Notation(separator=";"))
    assert rows == [{"a": "01", "b": 'x;"y"\n z'}, {"a": "", "b": "2"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"table\.csv: the file is empty \[empty_file\]"),
        (" \n", r"\[empty_file\]"),
        ("a,b\n1,2\n3", r"table\.csv, row 2: 1 fields, expected 2 \[field_count\]"),
        ("a,b\n1,2,3\n", r"row 1: 3 fields, expected 2 \[field_count\]"),
        ("a,b\n1,2,\n", r"row 1: 3 fields, expected 2 \[field_count\]"),
        ('a,b\n1,"2', r"\(line 2 of the file\) \[unreadable_csv\]"),
        ("a,a\n1,2\n", r"column 'a': the header names it twice \[column_name\]"),
        ("a,\n1,2\n", r"column 2 of the header has no name \[column_name\]"),
        ("a,__b\n1,2\n", r"column '__b': names that begin with '__' are taken \[column_name\]"),
        (b"a,b\n1,2\n\xff,3\n", r"row 2: byte 8 is not utf-8-sig \[encoding\]"),
    ],
)
def test_bad_csv_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_table(_file(tmp_path, content))


CELLS = st.sampled_from(["a", " ", '"', '""', ",", ",", "\n", "\r\n", "7", "é", "\t", "\\", "'", "\r", "\x0b", "\u2028"])


@given(st.lists(CELLS, max_size=16).map("".join))
def test_csv_is_read_as_the_standard_library_reads_it(body: str) -> None:
    content = "a,b\n" + body
    try:
        expected = [fields for fields in csv.reader(io.StringIO(content, newline=""), strict=True) if fields][1:]
    except csv.Error:
        expected = [[]]
    if all(len(fields) == 2 for fields in expected):
        frame, numbers = csv_rows("f", content.encode(), Notation())
        assert [list(row) for row in frame.rows()] == expected
        assert numbers.to_list() == list(range(1, len(expected) + 1))
    else:
        with pytest.raises(SourceError):
            csv_rows("f", content.encode(), Notation())


def test_rows_that_do_not_fit_are_set_aside_with_their_numbers(tmp_path: Path) -> None:
    bad: dict[str, list[BadRow]] = {}
    path = _file(tmp_path, 'a,b\n1,2\n3\n"4\n",5\n6,7,8\n9,0\n')
    frame = read_table(path, bad_rows=bad)
    assert frame.drop(FILE).rows() == [("1", "2", 1), ("4\n", "5", 3), ("9", "0", 5)]
    assert [(b.row, b.rule, b.message) for b in bad[str(path)]] == [
        (2, "field_count", "1 fields, expected 2"),
        (4, "field_count", "3 fields, expected 2"),
    ]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("a,b\n1,2\n\n3,4\n\n\n", [("1", "2", 1), ("3", "4", 2)]),
        ("sep=;\r\na;b\r\n1;2\r\n", [("1", "2", 1)]),
        ("a,b\n", []),
        ("a,b\n\n", []),
    ],
)
def test_harmless_oddities_of_csv_are_read(tmp_path: Path, content: str, rows: list[tuple[object, ...]]) -> None:
    assert read_table(_file(tmp_path, content)).drop(FILE).rows() == rows


def test_one_column_is_a_table(tmp_path: Path) -> None:
    assert _rows(_file(tmp_path, "Order ID\nA\n\nB\n")) == [{"Order ID": "A"}, {"Order ID": "B"}]


@pytest.mark.parametrize(
    "content", ['[{"a": 1, "b": 12.5}, {"a": "x", "c": true}]', '{"a": 1, "b": 12.5}\n{"a": "x", "c": true}\n\n']
)
def test_json_array_and_lines_are_the_same(tmp_path: Path, content: str) -> None:
    rows = _rows(_file(tmp_path, content, "t.json"), Notation(decimal=","))
    assert rows == [{"a": "1", "b": "12,5", "c": None}, {"a": "x", "b": None, "c": "true"}]


def test_json_numbers_have_no_exponent(tmp_path: Path) -> None:
    assert _rows(_file(tmp_path, '[{"a": 1e-7, "b": 1e20}]', "t.json")) == [{"a": "0.0000001", "b": "100000000000000000000"}]


def test_nested_arrays_become_rows_with_the_objects_around_them(tmp_path: Path) -> None:
    document = """{"orders": [{"id": 1, "at": "x", "codes": [{"code": "C"}], "items": [{"id": 7, "size": {"eu": 40}}, {"id": 8}]},
        {"id": 2, "codes": [], "items": []}, {"id": 3, "items": [{"id": 9}]}]}"""
    wanted = ("orders.id", "orders.at", "orders.codes.0.code", "orders.items.id", "orders.items.size.eu", "orders.nothing")
    notation = Notation(unnest=("orders", "items"), wanted=wanted)
    frame = read_table(_file(tmp_path, document, "t.json"), notation).drop(FILE, ROW)
    assert frame.columns == list(wanted[:-1])
    assert frame.rows() == [("1", "x", "C", "7", "40"), ("1", "x", "C", "8", None), ("3", None, None, "9", None)]
    with pytest.raises(SourceError, match=r"column 'at': expected an array, got \"x\" \[unnest\]"):
        read_table(_file(tmp_path, document, "t.json"), Notation(unnest=("orders", "at"), wanted=("orders.id",)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"\[empty_file\]"),
        ('[{"a": 1}', r"\[unreadable_json\]"),
        ('{"a": 1}\n{"a": \n', r"row 2: .* \[unreadable_json\]"),
        ('[{"a": 1}, 3]', r"row 2: expected an object, got 3 \[not_an_object\]"),
        ('[{"a": 1}, {"a": [2]}]', r"row 2, column 'a': expected one value, got \[2\] \[nested_value\]"),
    ],
)
def test_bad_json_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_table(_file(tmp_path, content, "t.json"))


def test_typed_tables_read_like_the_texts_of_others(tmp_path: Path) -> None:
    """A Parquet file, an Excel sheet and JSON of the same values are the same texts."""
    frame = pl.DataFrame(
        {
            "id": ["01", "A 2"],
            "customer": [17850.0, None],
            "price": [12.5, 1e-7],
            "n": [1, 2],
            "at": [datetime(2025, 1, 2, 3, 4, 5), None],
            "back": [True, False],
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_excel(tmp_path / "t.xlsx")
    expected = [
        {"id": "01", "customer": "17850", "price": "12,5", "n": "1", "at": "2025-01-02 03:04:05", "back": "true"},
        {"id": "A 2", "customer": None, "price": "0,0000001", "n": "2", "at": None, "back": "false"},
    ]
    for name in ("t.parquet", "t.xlsx"):
        assert _rows(tmp_path / name, Notation(decimal=",")) == expected
    (tmp_path / "t.json").write_text('[{"customer": 17850.0, "price": 1e-7}]')
    assert _rows(tmp_path / "t.json", Notation(decimal=",")) == [{"customer": "17850", "price": "0,0000001"}]


def test_decimals_days_and_zones_of_parquet(tmp_path: Path) -> None:
    pl.DataFrame(
        {
            "price": [Decimal("12.50"), Decimal("7.00")],
            "day": [date(2025, 1, 2)] * 2,
            "at": pl.Series([datetime(2025, 7, 1, 10, tzinfo=UTC)] * 2).dt.convert_time_zone("Europe/Berlin"),
        }
    ).write_parquet(tmp_path / "t.parquet")
    assert _rows(tmp_path / "t.parquet")[0] == {"price": "12.50", "day": "2025-01-02", "at": "2025-07-01 10:00:00Z"}
    assert _rows(tmp_path / "t.parquet")[1]["price"] == "7"
    pl.DataFrame({"a": [[1]]}).write_parquet(tmp_path / "n.parquet")
    with pytest.raises(SourceError, match=r"column 'a': expected one value a row, the column is List"):
        read_table(tmp_path / "n.parquet")


def test_sheets_are_named(tmp_path: Path) -> None:
    pl.DataFrame({"a": ["x"]}).write_excel(tmp_path / "t.xlsx", worksheet="Orders")
    assert read_table(tmp_path / "t.xlsx", sheet="Orders").drop(FILE).rows() == [("x", 1)]
    with pytest.raises(SourceError, match=r"there is no sheet 'Returns'; there are Orders \[sheet\]"):
        read_table(tmp_path / "t.xlsx", sheet="Returns")


def test_packed_files_and_folders_know_each_rows_file(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with zipfile.ZipFile(folder / "2.zip", "w") as archive:
        archive.writestr("y.csv", "a,b\n3,4\n5,6\n")
        archive.writestr("x.csv", "a,b\n7,8\n")
    (folder / ".hidden").write_text("no table")
    frame = read_table(folder)
    assert frame.with_columns(pl.col(FILE).cast(pl.String).str.strip_prefix(f"{folder}/")).rows() == [
        ("1", "2", "1.csv.gz", 1),
        ("7", "8", "2.zip/x.csv", 1),
        ("3", "4", "2.zip/y.csv", 1),
        ("5", "6", "2.zip/y.csv", 2),
    ]
    (folder / "3.csv").write_text("a,c\n1,2\n")
    with pytest.raises(SourceError, match=r"3\.csv, column 'b': the first file has it, this one does not \[folder_columns\]"):
        read_table(folder)


def test_stdin_is_a_file_whose_format_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    assert read_table(Path("-"), file_format="csv").rows() == [("1", "2", "stdin", 1)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.dat", b"x", r"'\.dat' tells no format: say --format csv\|json\|parquet\|excel \[file_format\]"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], r"\[unreadable_gz\]"),
        ("t.zip", b"PK\x03\x04 cut short", r"\[unreadable_zip\]"),
        ("t.parquet", b"PAR1", r"\[unreadable_parquet\]"),
        ("t.xlsx", b"no book", r"\[unreadable_excel\]"),
    ],
)
def test_what_is_no_file_of_its_format_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_table(_file(tmp_path, content, name))


def test_absent_file_and_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.csv: No such file or directory \[unreadable_file\]"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(SourceError, match=r"there are no files in the folder \[no_files\]"):
        read_table(tmp_path)


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x1c", "\x0c", "\x0b"])
def test_characters_that_unicode_calls_line_ends_are_part_of_a_value(tmp_path: Path, character: str, end: str) -> None:
    """Escaped or not, as JSON allows: its control characters (below a space) must be escaped."""
    written = character if character > " " else f"\\u{ord(character):04x}"
    path = _file(tmp_path, f'{{"a": "x{written}y"}}{end or chr(10)}{{"a": "z"}}{end}', "t.json")
    assert _rows(path) == [{"a": f"x{character}y"}, {"a": "z"}]
    path = _file(tmp_path, f"a,b\nx{character}y,1{end or chr(10)}z,2{end}")
    assert _rows(path) == [{"a": f"x{character}y", "b": "1"}, {"a": "z", "b": "2"}]


def test_no_data_is_split_by_what_unicode_calls_line_ends() -> None:
    """``str.splitlines`` splits at ten characters, of which JSON, CSV and our logs mean one."""
    root = Path(returnml.__file__).parents[1]
    calls = {
        file.relative_to(root).as_posix()
        for folder in ("returnml", "serving")
        for file in (root / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "splitlines"
    }
    assert calls == set()
