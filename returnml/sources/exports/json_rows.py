"""JSON as texts: an array of objects, an object that holds arrays, or one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl

from returnml.sources.exports.csv_rows import decoded
from returnml.sources.exports.notation import Notation
from returnml.sources.import_error import SourceError


def json_rows(name: str, content: bytes, notation: Notation) -> pl.DataFrame:
    """Values as texts (numbers with the notation's decimal separator), absent ones null.

    Raises:
        SourceError: where a row is no JSON object, a value is an object or an array, or what ``unnest`` names is no array.
    """
    text = decoded(name, content, notation.encoding)
    document = _document(name, text)
    if notation.unnest:
        return _unnested(name, document, notation)
    names: dict[str, None] = {}
    for number, row in enumerate(document, 1):
        if not isinstance(row, dict):
            raise SourceError(name, "not_an_object", f"expected an object, got {_shown(row)}", row=number)
        names.update(dict.fromkeys(row))
    return pl.DataFrame(
        [
            pl.Series(
                column,
                [_string(name, number, column, row.get(column), notation.decimal) for number, row in enumerate(document, 1)],
                pl.String,
            )
            for column in names
        ]
    )


def _document(name: str, text: str) -> list[Any]:
    try:
        whole = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if text.lstrip().startswith("["):
            raise SourceError(name, "unreadable_json", str(error)) from error
        return _lines(name, text)
    return whole if isinstance(whole, list) else [whole]


def _lines(name: str, text: str) -> list[Any]:
    rows = []
    # str.splitlines() would also split at characters that may stand in a JSON text, such as U+2028
    for number, line in enumerate(text.rstrip("\r\n").split("\n"), 1):
        try:
            rows.append(msgspec.json.decode(line))
        except msgspec.DecodeError as error:
            raise SourceError(name, "unreadable_json", str(error), row=number) from error
    return rows


def _unnested(name: str, document: list[Any], notation: Notation) -> pl.DataFrame:
    columns: dict[str, list[str | None]] = {path: [] for path in notation.wanted}
    seen: set[str] = set()
    for number, levels in enumerate(_levels(name, document, notation.unnest, {}), 1):
        for path, values in columns.items():
            value, is_there = _at(levels, path)
            values.append(_string(name, number, path, value, notation.decimal))
            if is_there:
                seen.add(path)
    return pl.DataFrame([pl.Series(path, values, pl.String) for path, values in columns.items() if path in seen or not values])


def _levels(name: str, elements: list[Any], unnest: tuple[str, ...], outer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """For each innermost element all objects around it, by the path of the array that they are in (the document's: '')."""
    prefix = max(outer, key=len, default=None)
    here = "" if prefix is None else f"{prefix}.{unnest[0]}" if prefix else unnest[0]
    rest = unnest if prefix is None else unnest[1:]
    for number, element in enumerate(elements, 1):
        if not isinstance(element, dict):
            raise SourceError(
                name, "not_an_object", f"expected an object in {here or 'the file'}, got {_shown(element)}", row=number
            )
        levels = outer | {here: element}
        if not rest:
            yield levels
            continue
        inner = element.get(rest[0])
        if inner is not None and not isinstance(inner, list):
            raise SourceError(name, "unnest", f"expected an array, got {_shown(inner)}", row=number, column=rest[0])
        yield from _levels(name, inner or [], rest, levels)


def _at(levels: dict[str, Any], path: str) -> tuple[Any, bool]:
    prefix = max((p for p in levels if not p or path.startswith(f"{p}.")), key=len)
    value: Any = levels[prefix]
    for part in path[len(prefix) + 1 if prefix else 0 :].split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit():
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return None, value is None
    return value, True


def _string(name: str, number: int, column: str, value: Any, decimal: str) -> str | None:
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
    raise SourceError(name, "nested_value", f"expected one value, got {_shown(value)}", row=number, column=column)


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()[:60]
