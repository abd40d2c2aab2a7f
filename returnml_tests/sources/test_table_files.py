"""CSV and JSON files as strings; what is refused, by row and column."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import returnml
from returnml.sources.import_error import SourceError
from returnml.sources.table_files import read_csv, read_json


def _file(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "table"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_keeps_strings_quotes_and_line_breaks(tmp_path: Path) -> None:
    frame = read_csv(_file(tmp_path, '\ufeffa;b\r\n01;"x;""y""\n z"\r\n;2\r\n'), ";")
    assert frame.to_dicts() == [{"a": "01", "b": 'x;"y"\n z'}, {"a": "", "b": "2"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"table: the file is empty \[empty_file\]"),
        (" \n", r"\[empty_file\]"),
        ("a,b\n", r"\[no_rows\]"),
        ("a,b\n1,2\n3", r"table, row 2: 1 fields, expected 2 \[field_count\]"),
        ("a,b\n1,2,3\n", r"row 1: 3 fields, expected 2 \[field_count\]"),
        ('a,b\n1,"2', r"\(line 2 of the file\) \[unreadable_csv\]"),
        ("a,a\n1,2\n", r"column 'a': the header names it twice \[column_name\]"),
        ("a,\n1,2\n", r"column 2 of the header has no name \[column_name\]"),
        (b"a,b\n1,2\n\xff,3\n", r"row 2: byte 8 is not utf-8-sig \[encoding\]"),
    ],
)
def test_bad_csv_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_csv(_file(tmp_path, content))


@pytest.mark.parametrize(
    "content", ['[{"a": 1, "b": 12.5}, {"a": "x", "c": true}]', '{"a": 1, "b": 12.5}\n{"a": "x", "c": true}\n']
)
def test_json_array_and_lines_are_the_same(tmp_path: Path, content: str) -> None:
    frame = read_json(_file(tmp_path, content), decimal=",")
    assert frame.to_dicts() == [{"a": "1", "b": "12,5", "c": None}, {"a": "x", "b": None, "c": "true"}]


def test_json_numbers_have_no_exponent(tmp_path: Path) -> None:
    assert read_json(_file(tmp_path, '[{"a": 1e-7, "b": 1e20}]')).rows() == [("0.0000001", "100000000000000000000")]


def test_whole_floats_of_json_are_read_like_those_of_a_parquet_column(tmp_path: Path) -> None:
    assert read_json(_file(tmp_path, '[{"id": 17850.0, "text": "17850.0"}]')).rows() == [("17850", "17850.0")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"\[empty_file\]"),
        ("[]", r"\[no_rows\]"),
        ('[{"a": 1}', r"\[unreadable_json\]"),
        ('{"a": 1}\n{"a": \n', r"row 2: .* \[unreadable_json\]"),
        ('[{"a": 1}, 3]', r"row 2: expected an object, got 3 \[not_an_object\]"),
        ('[{"a": 1}, {"a": [2]}]', r"row 2, column 'a': expected one value, got \[2\] \[nested_value\]"),
    ],
)
def test_bad_json_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_json(_file(tmp_path, content))


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere: No such file or directory \[unreadable_file\]"):
        read_csv(tmp_path / "nowhere")


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x1c", "\x0c", "\x0b"])
def test_characters_that_unicode_calls_line_ends_are_part_of_a_value(tmp_path: Path, character: str, end: str) -> None:
    """Escaped or not, as JSON allows: its control characters (below a space) must be escaped."""
    written = character if character > " " else f"\\u{ord(character):04x}"
    frame = read_json(_file(tmp_path, f'{{"a": "x{written}y"}}{end or chr(10)}{{"a": "z"}}{end}'))
    assert frame.rows() == [(f"x{character}y",), ("z",)]
    frame = read_csv(_file(tmp_path, f"a,b\nx{character}y,1{end or chr(10)}z,2{end}"))
    assert frame.rows() == [(f"x{character}y", "1"), ("z", "2")]


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
