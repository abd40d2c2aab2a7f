"""Reads CSV and JSON files into frames of strings, row by row accountable; what the strings mean is decided elsewhere."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from returnml.sources.import_error import SourceError

_CHUNK = 100_000


def read_csv(path: Path, separator: str = ",", encoding: str = "utf-8-sig") -> pl.DataFrame:
    """All values as strings; an empty field is an empty string. The first line names the columns.

    Raises:
        SourceError: where the file is absent or empty, is not of the encoding, names a column twice, or a row has more or
            fewer fields than the header (as the last row of a truncated file has), or an open quote.
    """
    reader = csv.reader(io.StringIO(_text(path, encoding), newline=""), delimiter=separator, strict=True)
    frames: list[pl.DataFrame] = []
    names: list[str] = []
    done = 0
    try:
        names = next(reader)
        _check_names(path, names)
        while chunk := list(islice(reader, _CHUNK)):
            for offset, fields in enumerate(chunk):
                if len(fields) != len(names):
                    message = f"{len(fields)} fields, expected {len(names)}"
                    raise SourceError(path, "field_count", message, row=done + offset + 1)
            columns = zip(*chunk, strict=True)
            frames.append(pl.DataFrame([pl.Series(n, c, pl.String) for n, c in zip(names, columns, strict=True)]))
            done += len(chunk)
    except csv.Error as error:
        raise SourceError(path, "unreadable_csv", f"{error} (line {reader.line_num} of the file)") from error
    if not frames:
        raise SourceError(path, "no_rows", "there is a header but no row")
    return pl.concat(frames)


def read_json(path: Path, decimal: str = ".", encoding: str = "utf-8-sig") -> pl.DataFrame:
    """An array of objects, or one object a line; values as strings (numbers with ``decimal``), absent ones null.

    Raises:
        SourceError: where the file is absent or empty, a row is no JSON object, or a value is an object or an array.
    """
    text = _text(path, encoding)
    rows = _array(path, text) if text.lstrip().startswith("[") else _lines(path, text)
    if not rows:
        raise SourceError(path, "no_rows", "there is no row")
    names: dict[str, None] = {}
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise SourceError(path, "not_an_object", f"expected an object, got {_shown(row)}", row=number)
        names.update(dict.fromkeys(row))
    columns = []
    for name in names:
        values = [_string(path, number, name, row.get(name), decimal) for number, row in enumerate(rows, 1)]
        columns.append(pl.Series(name, values, pl.String))
    return pl.DataFrame(columns)


def _text(path: Path, encoding: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(path, "unreadable_file", error.strerror or str(error)) from error
    if not content.strip():
        raise SourceError(path, "empty_file", "the file is empty")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n")
        raise SourceError(path, "encoding", f"byte {error.start} is not {encoding}", row=row or None) from error


def _check_names(path: Path, names: list[str]) -> None:
    for index, name in enumerate(names):
        if not name:
            raise SourceError(path, "column_name", f"column {index + 1} of the header has no name")
        if name in names[:index]:
            raise SourceError(path, "column_name", "the header names it twice", column=name)


def _array(path: Path, text: str) -> list[Any]:
    try:
        rows: list[Any] = msgspec.json.decode(text, type=list[Any])
    except msgspec.DecodeError as error:
        raise SourceError(path, "unreadable_json", str(error)) from error
    return rows


def _lines(path: Path, text: str) -> list[Any]:
    rows = []
    # str.splitlines() would also split at characters that may stand in a JSON text, such as U+2028
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        try:
            rows.append(msgspec.json.decode(line))
        except msgspec.DecodeError as error:
            raise SourceError(path, "unreadable_json", str(error), row=number) from error
    return rows


def _string(path: Path, number: int, name: str, value: Any, decimal: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if value.is_integer():  # 17850.0 is 17850, as in a Parquet column of floats
            return str(int(value))
        return format(Decimal(repr(value)), "f").replace(".", decimal)
    raise SourceError(path, "nested_value", f"expected one value, got {_shown(value)}", row=number, column=name)


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()[:60]
