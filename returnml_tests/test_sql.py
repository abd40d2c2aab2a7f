"""Names and constants in SQL: what DuckDB reads is what was given."""

from datetime import UTC, date, datetime

import duckdb
import pytest

from returnml.sql import literal, literals, quote, quoted

HOSTILE = ["", "'", "''", '"', "it's; DROP TABLE t --", 'my "own"', "\\'", "é\n"]


@pytest.mark.parametrize("value", [*HOSTILE, 0, -3, date(2024, 2, 29), datetime(2025, 3, 1, 12, 0, 0, 7), datetime.min])
def test_a_constant_is_read_as_it_was(value):
    assert duckdb.execute(f"SELECT {literal(value)}").fetchone() == (value,)


def test_names_are_read_as_they_were():
    names = [name for name in HOSTILE if name]
    rows = duckdb.execute(f"SELECT {quoted(names)} FROM (SELECT {', '.join(f'1 AS {quote(n)}' for n in names)})")
    assert [column[0] for column in rows.description] == names


def test_constants_are_read_in_order():
    assert duckdb.execute(f"SELECT [{literals(HOSTILE)}]").fetchone() == (HOSTILE,)


def test_an_instant_with_a_zone_is_no_constant():
    with pytest.raises(ValueError, match="has no time zone"):
        literal(datetime(2025, 3, 1, tzinfo=UTC))
