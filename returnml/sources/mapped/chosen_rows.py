"""Which rows a table has: filled down, with other tables' columns beside them, and only those that the mapping asks for."""

from __future__ import annotations

from collections.abc import Mapping as Tables
from dataclasses import dataclass

import polars as pl

from returnml.sources.exports.table_reading import FILE, ROW
from returnml.sources.import_error import SourceError
from returnml.sources.mapped.mapping import Mapping, TableMapping
from returnml.sources.mapped.mapping_words import Lookup, Tested
from returnml.sources.mapped.refusals import Refusals
from returnml.sources.mapped.values import to_scaled


@dataclass(frozen=True)
class ChosenRows:
    """A table's rows.

    Attributes:
        read: rows of the files.
        left_out: by condition, how many rows it left out of those that the ones before it had left.
        lookups: by table, how many rows found their row there.
    """

    rows: pl.DataFrame
    read: int
    left_out: dict[str, int]
    lookups: dict[str, int]


def choose_rows(
    raw: pl.DataFrame, table: TableMapping, mapping: Mapping, tables: Tables[str, pl.DataFrame], refusals: Refusals
) -> ChosenRows:
    """The rows that the mapping asks for, in the files' order.

    Args:
        raw: texts, null where there is no value, with ``FILE`` and ``ROW``.
        tables: what lookups may name, in the same form.
        refusals: takes rows whose number cannot be read.

    Raises:
        SourceError: where a lookup names a table or column that is not there, or rows there that are not unique.
    """
    read = raw.height
    if table.fill_down is not None:
        raw = raw.with_columns(pl.col(table.fill_down.columns).forward_fill().over(table.fill_down.by))
    found = {}
    for lookup in table.lookup:
        raw, found[lookup.table] = _joined(raw, lookup, tables, table.used)
    left_out = {}
    for condition in table.where:
        holds, unread = tested(condition, pl.col(condition.column), mapping)
        checked = raw.select(holds=holds.fill_null(False), unread=unread, text=pl.col(condition.column))
        messages = checked.select(pl.format("cannot read '{}' as a number", pl.col("text").fill_null(""))).to_series()
        refusals.add(raw, checked["unread"].fill_null(False), "number_value", condition.column, messages)
        kept = raw.filter(checked["holds"] | checked["unread"].fill_null(False))
        left_out[str(condition)] = raw.height - kept.height
        raw = kept
    return ChosenRows(raw, read, left_out, found)


def tested(test: Tested, text: pl.Expr, mapping: Mapping) -> tuple[pl.Expr, pl.Expr]:
    """Whether a text fulfils a test (null: there is no value to test), and whether it cannot be tested."""
    if test.present is not None:
        return text.is_not_null() == test.present, pl.lit(False)
    if test.is_any is not None:
        return text.is_in(test.is_any), pl.lit(False)
    if test.is_none is not None:
        return ~text.is_in(test.is_none).fill_null(False), pl.lit(False)
    scale = 4
    number = to_scaled(text, mapping, scale)
    bound = (test.above if test.above is not None else test.below or 0) * 10**scale
    holds = number > bound if test.above is not None else number < bound
    return holds, text.is_not_null() & number.is_null()


def _joined(raw: pl.DataFrame, lookup: Lookup, tables: Tables[str, pl.DataFrame], used: list[str]) -> tuple[pl.DataFrame, int]:
    if lookup.table not in tables:
        message = f"the mapping looks rows up in it: say --table {lookup.table}=FILE"
        raise SourceError(lookup.table, "lookup_table", message)
    other = tables[lookup.table]
    for name in lookup.on.values():
        if name not in other.columns:
            raise SourceError(lookup.table, "required_column", "rows are looked up by it, the table lacks it", column=name)
    keys = list(lookup.on.values())
    asked = [name for name in other.columns if name in keys or f"{lookup.table}.{name}" in used]
    other = other.select(*asked, FILE, ROW)
    twice = other.filter(pl.struct(keys).is_duplicated() & pl.all_horizontal(pl.col(keys).is_not_null()))
    if twice.drop(FILE, ROW).unique().height != twice.select(keys).unique().height:
        row = twice.row(0, named=True)
        shown = ", ".join(f"{name} {row[name]!r}" for name in keys)
        message = f"{shown} stands in several rows with other values, and {twice.height:,} rows share their key with another"
        raise SourceError(row[FILE], "lookup_key", message, row=row[ROW])
    other = other.unique(keys, keep="first").drop(FILE, ROW)
    right = other.select(pl.col(name).alias(f"{lookup.table}.{name}") for name in other.columns)
    on = [f"{lookup.table}.{name}" for name in keys]
    joined = raw.join(right, left_on=list(lookup.on), right_on=on, how="left", coalesce=False, maintain_order="left")
    return joined, joined.height - joined[on[0]].null_count()
