"""CSV as texts: Arrow's reader where it is exact, the standard library's where quotes are not plain or a row is to be named."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from itertools import islice

import polars as pl
import pyarrow as pa
import pyarrow.csv

from returnml.sources.exports.notation import Notation
from returnml.sources.import_error import SourceError

_CHUNK = 100_000
_EXCEL = re.compile(r"sep=(.)\r?\n")


@dataclass(frozen=True)
class BadRow:
    """A row that has no place in the table: its number in the file (data rows from 1), the rule and what is wrong."""

    row: int
    rule: str
    message: str


def csv_rows(
    name: str, content: bytes, notation: Notation, bad_rows: list[BadRow] | None = None
) -> tuple[pl.DataFrame, pl.Series]:
    """All values as texts, an empty field as an empty one, and the number of each row. The first line names the columns.

    Blank lines are no rows.

    Args:
        name: of the file, for errors.
        bad_rows: takes rows with too many or too few fields; by default the first one refuses the file.

    Raises:
        SourceError: where the file is not of the encoding, names a column twice or not at all, has an open quote or text after a
            closing one, or a row has more or fewer fields than the header (as the last row of a truncated file has).
    """
    text = decoded(name, content, notation.encoding)
    separator = notation.separator
    if match := _EXCEL.match(text):
        separator, text = match[1], text[match.end() :]
    header = io.StringIO(text, newline="")
    try:
        names = next((fields for fields in csv.reader(header, delimiter=separator, strict=True) if fields), [])
    except csv.Error as error:
        raise SourceError(name, "unreadable_csv", f"{error} (the header)") from error
    _check_names(name, names)
    body = text[header.tell() :].encode()
    if _is_plain(body, separator):
        # the frames differ from the standard library's in nothing but quotes, of which there are only plain ones
        try:
            return _numbered(_by_arrow(body, names, separator))
        except pa.ArrowInvalid:
            pass  # a row that does not fit: read again, to name it
    return _by_row(name, text, separator, bad_rows)


def decoded(name: str, content: bytes, encoding: str) -> str:
    """The text of a file.

    Raises:
        SourceError: naming the first byte that is not of the encoding, and its row.
    """
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n")
        raise SourceError(name, "encoding", f"byte {error.start} is not {encoding}", row=row or None) from error


def _is_plain(body: bytes, separator: str) -> bool:
    """Whether quotes only enclose whole fields, or stand doubled within these."""
    quotes = body.count(b'"')
    if not quotes:
        return True
    mark = re.escape(separator).encode()
    field = re.compile(rb"(?:\A|(?<=[\r\n])|(?<=" + mark + rb'))"(?:[^"]|"")*+"(?=[\r\n]|' + mark + rb"|\Z)")
    return sum(body.count(b'"', *match.span()) for match in field.finditer(body)) == quotes


def _by_arrow(body: bytes, names: list[str], separator: str) -> pl.DataFrame:
    if len(names) == 1 or len(separator.encode()) > 1:
        raise pa.ArrowInvalid("a blank line would be a row, or the separator is no single byte")
    if not body.strip(b"\r\n"):
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    table = pa.csv.read_csv(
        pa.BufferReader(body),
        read_options=pa.csv.ReadOptions(column_names=names, block_size=4 << 20),
        parse_options=pa.csv.ParseOptions(delimiter=separator, newlines_in_values=b'"' in body),
        convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
    )
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _by_row(name: str, text: str, separator: str, bad_rows: list[BadRow] | None) -> tuple[pl.DataFrame, pl.Series]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = (fields for fields in reader if fields)
    frames: list[pl.DataFrame] = []
    numbers: list[int] = []
    done = 0
    try:
        names = next(rows)
        while chunk := list(islice(rows, _CHUNK)):
            kept = []
            for number, fields in enumerate(chunk, done + 1):
                if len(fields) == len(names):
                    kept.append(fields)
                    numbers.append(number)
                    continue
                bad = BadRow(number, "field_count", f"{len(fields)} fields, expected {len(names)}")
                if bad_rows is None:
                    raise SourceError(name, bad.rule, bad.message, row=bad.row)
                bad_rows.append(bad)
            frames.append(pl.DataFrame(kept, dict.fromkeys(names, pl.String), orient="row"))
            done += len(chunk)
    except csv.Error as error:
        raise SourceError(name, "unreadable_csv", f"{error} (line {reader.line_num} of the file)") from error
    empty = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    return pl.concat([empty, *frames]), pl.Series(numbers, dtype=pl.UInt32)


def _numbered(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    return frame, pl.int_range(1, frame.height + 1, dtype=pl.UInt32, eager=True)


def _check_names(file: str, names: list[str]) -> None:
    for index, name in enumerate(names):
        if not name:
            raise SourceError(file, "column_name", f"column {index + 1} of the header has no name")
        if name in names[:index]:
            raise SourceError(file, "column_name", "the header names it twice", column=name)
