"""The validated contract of each stream: types, required values and the rules of one row, as a pandera schema.

It is used twice: on typed raw rows, where what fails goes to quarantine, and on core tables as a blocking check.
Rules about columns that only raw tables have (``uncast``, ``is_imported``, ``is_goods``) are left out where those
columns are absent.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from returnml.contracts.columns import Column, DeliveredStream, Kind
from returnml.contracts.rules import Rule, row_rules

if TYPE_CHECKING:
    import pandera.polars as pa

POLARS_TYPES: dict[Kind, pl.DataType] = {
    Kind.STRING: pl.String(),
    Kind.INTEGER: pl.Int64(),
    Kind.TIMESTAMP: pl.Datetime("us"),
    Kind.BOOLEAN: pl.Boolean(),
}
FIRST_INSTANT, LAST_INSTANT = datetime.min, datetime.max
"""Instants outside cannot be held by Python: years 1 to 9999."""
_RAW_ONLY = {"uncast": pl.String(), "is_imported": pl.Boolean()}
_FAILURES = {"index": pl.Int64(), "rule": pl.String()}


class ContractBroken(AssertionError):
    """A frame that is not even of the contract's types: a defect in the code before it, not in the data."""


def needed_columns(stream: DeliveredStream) -> tuple[str, ...]:
    """The columns of a raw table that the contract looks at."""
    looked_at = {name for r in row_rules(stream) if r.broken is not None for name in r.broken.meta.root_names()}
    return tuple(dict.fromkeys((*(c.name for c in stream.columns if c.name in looked_at), *sorted(looked_at))))


@cache
def validated(stream: DeliveredStream) -> pa.DataFrameSchema:
    """The contract. Validate with ``lazy=True`` and a DataFrame: a LazyFrame is checked for its types only."""
    import pandera.polars as pa

    by_column: dict[str, list[Rule]] = {}
    for rule in row_rules(stream):
        by_column.setdefault(rule.checked_on or rule.column, []).append(rule)
    delivered = {c.name: c for c in stream.columns}
    dtypes = {name: POLARS_TYPES[c.kind] for name, c in delivered.items()} | _RAW_ONLY
    columns = {
        name: pa.Column(
            dtypes[name],
            # pandera's own null check would name itself; the rule "<column>_missing" covers it
            nullable=True,
            required=_is_required(delivered.get(name)),
            checks=[_check(rule) for rule in by_column.get(name, [])],
        )
        for name in dtypes
        if name in by_column
    }
    return pa.DataFrameSchema(columns, strict=False, name=f"{stream.name} validated")


def row_failures(stream: DeliveredStream, frame: pl.DataFrame) -> pl.DataFrame:
    """Every (row, rule) that is broken.

    Args:
        frame: typed rows with (at least) :func:`needed_columns`; instants of any year.

    Returns:
        ``index`` (position in the frame, Int64) and ``rule`` (String), unordered.

    Raises:
        ContractBroken: where the frame lacks a column or has another type.
    """
    import pandera.errors

    try:
        validated(stream).validate(_bounded(frame), lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        unplaced = cases.filter(pl.col("index").is_null())
        if unplaced.height:
            raise ContractBroken(f"{stream.name}: {unplaced.rows(named=True)[0]}") from errors
        return cases.select(pl.col("index").cast(pl.Int64), rule="check")
    return pl.DataFrame(schema=_FAILURES)


def _bounded(frame: pl.DataFrame) -> pl.DataFrame:
    """Instants moved to the first or last that Python holds: pandera shows a failing value, and all rules still say the same."""
    return frame.with_columns(pl.col(pl.Datetime("us")).clip(FIRST_INSTANT, LAST_INSTANT))


def _is_required(column: Column | None) -> bool:
    return column is not None and not column.is_nullable


def _check(rule: Rule) -> pa.Check:
    import pandera.polars as pa

    assert rule.broken is not None
    holds = ~rule.broken.fill_null(False)
    return pa.Check(lambda data: data.lazyframe.select(holds), name=rule.name, error=rule.name, ignore_na=False)
