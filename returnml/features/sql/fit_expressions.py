"""``fit_codes`` as SQL expressions over a text."""

from __future__ import annotations

from collections.abc import Sequence

from returnml.features.fit_codes import (
    LETTER_SIZES,
    NUMBER_SIZE,
    TOO_LARGE,
    TOO_SMALL,
)
from returnml.features.sql.dialect import (
    group_matched,
    matches,
)


def letter_size(size: str) -> str:
    """As ``fit.letter_size``; null for None."""
    cases = " ".join(f"WHEN '{name}' THEN {rank}" for name, rank in LETTER_SIZES.items())
    return f"(CASE {size} {cases} END)::BIGINT"


def number_size(size: str) -> str:
    """As ``fit.number_size``; null for None."""
    whole, half = (group_matched(size, NUMBER_SIZE, group) for group in (1, 2))
    return f"CASE WHEN {matches(size, NUMBER_SIZE)} THEN 2 * {whole}::BIGINT + ({half} <> '')::BIGINT END"


def order_columns(size: str) -> dict[str, str]:
    """As ``fit.order_columns``: column to expression."""
    letter, number = letter_size(size), number_size(size)
    return {
        "letter_size": f"coalesce({letter}, 0)",
        "has_letter_size": f"({letter} IS NOT NULL)::BIGINT",
        "number_size": f"coalesce({number}, 0)",
        "has_number_size": f"({number} IS NOT NULL)::BIGINT",
    }


def return_columns(reason: str) -> dict[str, str]:
    """As ``fit.return_columns``: column to expression."""
    return {"is_too_small": _is_one_of(reason, TOO_SMALL), "is_too_large": _is_one_of(reason, TOO_LARGE)}


def _is_one_of(text: str, spellings: Sequence[str]) -> str:
    listed = ", ".join(f"'{spelling}'" for spelling in spellings)
    return f"coalesce({text} IN ({listed}), false)::BIGINT"
