"""CSV and JSON files as strings; what is refused, by row and column."""

from __future__ import annotations

from pathlib import Path

import pytest

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
