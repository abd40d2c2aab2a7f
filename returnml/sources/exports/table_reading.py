"""Any supported file, folder or stream as one frame of texts, with each row's file and number."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import polars as pl

from returnml.sources.exports.csv_rows import BadRow, csv_rows
from returnml.sources.exports.json_rows import json_rows
from returnml.sources.exports.notation import Notation
from returnml.sources.exports.opening import PACKED, contents
from returnml.sources.exports.typed_rows import excel_rows, parquet_rows
from returnml.sources.import_error import SourceError

FileFormat = Literal["csv", "json", "parquet", "excel"]

FILE, ROW = "__file", "__row"
"""Columns of each frame: the file (``archive.zip/member.csv``), and the row in it, data rows from 1."""

_ENDINGS: dict[str, FileFormat] = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv",
    ".json": "json", ".ndjson": "json", ".jsonl": "json",
    ".parquet": "parquet", ".pq": "parquet",
    ".xlsx": "excel", ".xlsm": "excel", ".xlsb": "excel", ".xls": "excel", ".ods": "excel",
}  # fmt: skip


def read_table(
    path: Path,
    notation: Notation = Notation(),  # noqa: B008
    file_format: FileFormat | None = None,
    *,
    sheet: str | None = None,
    bad_rows: dict[str, list[BadRow]] | None = None,
) -> pl.DataFrame:
    """Read a table that a shop has exported, in one file or several.

    Args:
        path: a file, a folder of files, or ``-`` for stdin; gzip and zip are unpacked.
        file_format: of all files; by default each one's by its name's ending.
        sheet: of Excel files; by default the first.
        bad_rows: takes by file the rows that have no place in the table; by default the first one refuses it.

    Returns:
        Columns of strings as the files name them, then ``FILE`` and ``ROW``; rows in the order of the files.

    Raises:
        SourceError: naming file, row, column and rule; where files of one table have other columns than the first (JSON apart, in
            which what is absent has no value), or a column has a name that begins with ``__``.
    """
    frames: list[pl.DataFrame] = []
    for name, content in contents(path):
        bad: list[BadRow] | None = None if bad_rows is None else bad_rows.setdefault(name, [])
        kind = file_format or format_of(name)
        if kind == "csv":
            rows, numbers = csv_rows(name, content, notation, bad)
        else:
            rows = _other_rows(kind, name, content, notation, sheet)
            numbers = pl.int_range(1, rows.height + 1, dtype=pl.UInt32, eager=True)
        for column in rows.columns:
            if column.startswith("__"):
                raise SourceError(name, "column_name", "names that begin with '__' are taken", column=column)
        if frames and kind != "json":
            _check_same(name, rows, frames[0])
        frames.append(rows.with_columns(pl.lit(name).cast(pl.Categorical).alias(FILE), numbers.alias(ROW)))
    whole = pl.concat(frames, how="diagonal") if len(frames) > 1 else frames[0]
    return whole.select(*(column for column in whole.columns if column not in (FILE, ROW)), FILE, ROW)


def format_of(name: str) -> FileFormat:
    """The format that a file's name tells.

    >>> format_of("orders-2025.CSV.gz"), format_of("returns.jsonl")
    ('csv', 'json')

    Raises:
        SourceError: where it tells none.
    """
    path = Path(name)
    ending = Path(path.stem).suffix if path.suffix.lower() in PACKED else path.suffix
    found = _ENDINGS.get(ending.lower())
    if found is None:
        message = f"{ending or 'no ending'!r} tells no format: say --format {'|'.join(get_args(FileFormat))}"
        raise SourceError(name, "file_format", message)
    return found


def _other_rows(kind: FileFormat, name: str, content: bytes, notation: Notation, sheet: str | None) -> pl.DataFrame:
    if kind == "json":
        return json_rows(name, content, notation)
    if kind == "parquet":
        return parquet_rows(name, content, notation.decimal)
    return excel_rows(name, content, notation.decimal, sheet)


def _check_same(name: str, rows: pl.DataFrame, first: pl.DataFrame) -> None:
    expected = [column for column in first.columns if column not in (FILE, ROW)]
    differing = set(rows.columns) ^ set(expected)
    if differing:
        column = min(differing)
        which = (
            "this file has it, the first one does not" if column in rows.columns else "the first file has it, this one does not"
        )
        raise SourceError(name, "folder_columns", which, column=column)
