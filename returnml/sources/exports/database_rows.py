"""A query's answer as texts, from any database that SQLAlchemy knows; needs the extra ``database``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import polars as pl

from returnml.sources.exports.typed_rows import as_texts, number_text
from returnml.sources.import_error import SourceError, first_line

Mark = datetime | date | int | str
"""A value up to which rows have been read."""

_CHUNK = 50_000


@dataclass(frozen=True)
class Answer:
    """A query's rows as texts, and the greatest value of the column that marks how far was read; None: there is none yet."""

    rows: pl.DataFrame
    mark: Mark | None


def query_rows(url: str, name: str, query: str, decimal: str, mark_column: str | None = None, mark: Mark | None = None) -> Answer:
    """Run a query in a transaction that is rolled back.

    Args:
        url: of SQLAlchemy (``postgresql+psycopg://...``, ``sqlite:///...``); it is in no message.
        name: of the table, for errors.
        query: may name ``:mark``.
        mark_column: whose greatest value is the next mark.

    Raises:
        SourceError: where the database cannot be asked, or a column holds what is no single value; without the URL.
    """
    try:
        import sqlalchemy as sa
    except ModuleNotFoundError as error:
        raise SourceError(name, "extra_missing", "a database needs the extra returnml[database]") from error

    parameters = {} if mark_column is None else {"mark": mark}
    frames: list[pl.DataFrame] = []
    greatest: Mark | None = None
    try:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            result = connection.execution_options(stream_results=True).execute(sa.text(query), parameters)
            names = list(result.keys())
            _check_names(name, names, mark_column)
            for chunk in _chunks(result):
                if mark_column is not None:
                    at = names.index(mark_column)
                    found = [row[at] for row in chunk if row[at] is not None]
                    greatest = max([*found, *([] if greatest is None else [greatest])], default=None)
                columns = zip(*chunk, strict=True)
                frames.append(pl.DataFrame([_texts(name, c, v, decimal) for c, v in zip(names, columns, strict=True)]))
        engine.dispose()
    except (sa.exc.SQLAlchemyError, ModuleNotFoundError) as error:
        cause = getattr(error, "orig", None) or error
        raise SourceError(name, "database", first_line(cause).replace(url, "the URL")) from error
    empty = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    return Answer(pl.concat([empty, *frames]), greatest if greatest is not None else mark)


def _chunks(result: Any) -> Iterator[list[Any]]:
    while chunk := result.fetchmany(_CHUNK):
        yield chunk


def _check_names(table: str, names: list[str], mark_column: str | None) -> None:
    for index, name in enumerate(names):
        if name in names[:index] or name.startswith("__"):
            raise SourceError(table, "column_name", "the query names it twice, or it begins with '__'", column=name)
    if mark_column is not None and mark_column not in names:
        raise SourceError(table, "required_column", f"is to be the mark, the query has {', '.join(names)}", column=mark_column)


def _texts(table: str, column: str, values: tuple[Any, ...], decimal: str) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) == 1 and kinds <= {datetime, date, time, bool, int, str}:
        frame = pl.DataFrame([pl.Series(column, values, strict=True)])
        return as_texts(table, frame, decimal)[column]
    return pl.Series(column, [_text(table, column, value, decimal) for value in values], pl.String)


def _text(table: str, column: str, value: Any, decimal: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, UUID, date, time)):
        return str(value)
    if isinstance(value, float):
        return number_text(value, decimal)
    if isinstance(value, Decimal):
        whole = format(value, "f")
        return (whole.rstrip("0").rstrip(".") if "." in whole else whole).replace(".", decimal)
    raise SourceError(table, "nested_value", f"expected one value, got {type(value).__name__}", column=column)
