"""What texts say about fit, as integers: sizes on their scales, and reasons of returns that name the size.

The same in Python, for events and requests, as in SQL (``sql.fit_expressions``; a test holds one against the other). A text
that is on no scale says nothing: an exact spelling counts, nothing is guessed.
"""

from __future__ import annotations

import re
from functools import lru_cache

_LETTERS = ("XXXS", "XXS", "XS", "S", "M", "L", "XL", "XXL", "XXXL", "4XL", "5XL")
_ALSO = {"3XS": "XXXS", "2XS": "XXS", "2XL": "XXL", "3XL": "XXXL"}
_UPPER = {name: i for i, name in enumerate(_LETTERS, 1)}
_UPPER |= {name: _UPPER[same] for name, same in _ALSO.items()}

LETTER_SIZES = _UPPER | {name.lower(): size for name, size in _UPPER.items()}
"""Spelling to its rank, from 1."""
NUMBER_SIZE = "([0-9]{1,3})([.,]5)?"
"""A size in numbers, whole or half, as a regular expression of which two dialects have the same understanding."""
TOO_SMALL = ("too_small", "too small", "Too small", "zu klein", "Zu klein")
TOO_LARGE = ("too_large", "too large", "Too large", "zu groß", "Zu groß")
LETTER_BITS, NUMBER_BITS = 4, 11
"""Of the largest rank, and of twice the largest number."""


def letter_size(size: str | None) -> int | None:
    """The rank of a size in letters; None for any other.

    >>> letter_size("S"), letter_size("xl"), letter_size("38"), letter_size(None)
    (4, 7, None, None)
    """
    return None if size is None else LETTER_SIZES.get(size)


@lru_cache(maxsize=1 << 12)
def number_size(size: str | None) -> int | None:
    """Twice the number of a size in numbers, so that half sizes are whole; None for any other.

    >>> number_size("38"), number_size("38,5"), number_size("M")
    (76, 77, None)
    """
    found = None if size is None else re.fullmatch(NUMBER_SIZE, size)
    return None if found is None else 2 * int(found[1]) + (found[2] is not None)


def order_columns(size: str | None) -> dict[str, int]:
    """The columns of ``core.orders`` that a line's size says: 0 where it is not on the scale."""
    letter, number = letter_size(size), number_size(size)
    return {
        "letter_size": letter or 0,
        "has_letter_size": int(letter is not None),
        "number_size": number or 0,
        "has_number_size": int(number is not None),
    }


def return_columns(reason: str | None) -> dict[str, int]:
    """The columns of ``core.returns`` that a return's reason says."""
    return {"is_too_small": int(reason in TOO_SMALL), "is_too_large": int(reason in TOO_LARGE)}
