"""DuckDB, the first engine: 128-bit integers, temporary tables."""

from __future__ import annotations

from datetime import date

from returnml import sql
from returnml.features.sql.engine import Engine
from returnml.features.text_codes import CODE_DIGITS


class DuckDB(Engine):
    """DuckDB's spelling.

    >>> DUCKDB.wide_literal(5), DUCKDB.quote('a"b')
    ('5::HUGEINT', '"a""b"')
    """

    name = "DuckDB"
    integer = "BIGINT"
    wide = "HUGEINT"
    limb_bits = 126

    def materialise(self, name: str, query: str) -> str:
        return f"create or replace temp table {name} as\n{query}"

    def drop(self, name: str) -> str:
        return f"drop table if exists {name}"

    def quote(self, name: str) -> str:
        return sql.quote(name)

    def cast(self, expression: str, sql_type: str) -> str:
        return f"{expression}::{sql_type}"

    def day(self, day: date) -> str:
        return f"date '{day}'"

    def day_number(self, day: str) -> str:
        return f"({day} - date '1970-01-01')"

    def micros(self, timestamp: str) -> str:
        return f"epoch_us({timestamp})"

    def divided(self, dividend: str, divisor: int) -> str:
        return f"({dividend} // {divisor})"

    def shifted(self, value: str, bits: int) -> str:
        return f"({value} >> {bits})"

    def lowest(self, value: str, bits: int) -> str:
        return f"({value} & {self.wide_literal((1 << bits) - 1)})"

    def row_numbers(self) -> str:
        return "row_number() over () - 1"

    def latest(self, value: str, by: str) -> str:
        return f"arg_max({value}, {by})"

    def text_code(self, text: str, digits: int = CODE_DIGITS) -> str:
        return f"('0x' || substr(md5(nullif({text}, '')), 1, {digits}))::BIGINT"

    def matches(self, text: str, pattern: str) -> str:
        return f"regexp_full_match({text}, '{pattern}')"

    def group_matched(self, text: str, pattern: str, group: int) -> str:
        return f"regexp_extract({text}, '^{pattern}$', {group})"


DUCKDB = DuckDB()
