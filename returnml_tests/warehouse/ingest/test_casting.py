"""Text in a landing file is read like the same text in an imported table."""

from __future__ import annotations

from datetime import datetime

import duckdb
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from returnml.contracts.columns import ORDERS
from returnml.sources.mapped.mapping import Mapping, TableMapping
from returnml.sources.mapped.values import to_boolean, to_instant, to_integer
from returnml.warehouse.ingest.casting import casts

CON = duckdb.connect()
PLAIN = Mapping(shop="s", orders=TableMapping(columns={}))
BLANKS = st.sampled_from(["", " ", "\t", "  "])
NUMBERS = st.from_regex(r"[+-]?[0-9]{1,15}(\.[0-9]{0,3})?", fullmatch=True)
WORDS = st.sampled_from(["true", "True", "1", "yes", "Y", "t", "FALSE", "0", "no", "n", "F", "maybe", "2", ""])
INSTANTS = st.builds(
    lambda at, separator, seconds, offset: at.isoformat(separator, seconds) + offset,
    st.datetimes(datetime(1990, 1, 1), datetime(2099, 1, 1)),
    st.sampled_from(" T"),
    st.sampled_from(["minutes", "seconds", "microseconds"]),
    st.sampled_from(["", "Z", "+01:00", "-05:30"]),
)


def _landed(text: str, column: str) -> object:
    """What the warehouse reads from a text column."""
    [cast] = [c for c in casts(ORDERS, pl.Schema({column: pl.String()})) if c.column.name == column]
    return CON.execute(f'SELECT {cast.value} FROM (SELECT ? AS "{column}")', [text]).fetchall()[0][0]


@settings(max_examples=40, deadline=None)
@given(st.tuples(BLANKS, NUMBERS, BLANKS).map("".join))
@example("3.00")
@example("3.5")
@example(" 7\u00a0")
def test_integers(text: str) -> None:
    assert _landed(text, "quantity") == pl.select(to_integer(pl.lit(text), PLAIN)).item()


@settings(max_examples=20, deadline=None)
@given(st.tuples(BLANKS, WORDS, BLANKS).map("".join))
def test_booleans(text: str) -> None:
    assert _landed(text, "is_goods") is pl.select(to_boolean(pl.lit(text), PLAIN)).item()


@settings(max_examples=40, deadline=None)
@given(st.tuples(BLANKS, INSTANTS, BLANKS).map("".join))
@example("2025-01-01")
@example("0000-01-01")
@example("2025-02-30 10:00")
def test_instants(text: str) -> None:
    assert _landed(text, "ordered_at") == pl.select(to_instant(pl.lit(text), PLAIN, None)).item()


@pytest.mark.parametrize("text", ["17850.0", " A1", "A1", "", "\u2028"])
def test_ids_are_taken_as_they_stand(text: str) -> None:
    assert _landed(text, "line_id") == text
