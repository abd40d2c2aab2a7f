"""``fit_codes`` as SQL expressions over a text."""

from __future__ import annotations

from collections.abc import Sequence

from returnml.features.fit_codes import (
    LETTER_SIZES,
    NUMBER_SIZE,
    TOO_LARGE,
    TOO_SMALL,
)
from returnml.features.sql.engine import Engine


def letter_size(engine: Engine, size: str) -> str:
    """As ``fit_codes.letter_size``; null for None."""
    cases = " ".join(f"when '{name}' then {rank}" for name, rank in LETTER_SIZES.items())
    return engine.as_integer(f"(case {size} {cases} end)")


def number_size(engine: Engine, size: str) -> str:
    """As ``fit_codes.number_size``; null for None."""
    whole, half = (engine.group_matched(size, NUMBER_SIZE, group) for group in (1, 2))
    has_half = engine.as_integer(f"({half} <> '')")
    twice = f"2 * {engine.as_integer(whole)} + {has_half}"
    return f"case when {engine.matches(size, NUMBER_SIZE)} then {twice} end"


def order_columns(engine: Engine, size: str) -> dict[str, str]:
    """As ``fit_codes.order_columns``: column to expression."""
    letter, number = letter_size(engine, size), number_size(engine, size)
    return {
        "letter_size": f"coalesce({letter}, 0)",
        "has_letter_size": engine.as_integer(f"({letter} is not null)"),
        "number_size": f"coalesce({number}, 0)",
        "has_number_size": engine.as_integer(f"({number} is not null)"),
    }


def return_columns(engine: Engine, reason: str) -> dict[str, str]:
    """As ``fit_codes.return_columns``: column to expression."""
    spellings = {"is_too_small": TOO_SMALL, "is_too_large": TOO_LARGE}
    return {column: _is_one_of(engine, reason, spelled) for column, spelled in spellings.items()}


def _is_one_of(engine: Engine, text: str, spellings: Sequence[str]) -> str:
    listed = ", ".join(f"'{spelling}'" for spelling in spellings)
    return engine.as_integer(f"coalesce({text} in ({listed}), false)")
