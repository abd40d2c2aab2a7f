"""Strings as integers, for counting different ones: the same code in Python as in SQL (``sql.engine.Engine.text_code``)."""

from __future__ import annotations

import hashlib
from functools import lru_cache

CODE_DIGITS = 15
"""Hexadecimal digits, 60 bits: a code is a word that no total of codes is ever made of."""

SHORT_DIGITS = 6
"""Of the short code by which a model tells the strings of one column apart: 24 bits, which float32 holds exactly."""


@lru_cache(maxsize=1 << 14)
def text_code(text: str | None) -> int | None:
    """The first 60 bits of the string's MD5; None for None and the empty string, which do not count.

    Two of n different strings share a code with a chance of about n**2 / 2**61; both engines then count them as one.

    >>> text_code("card"), text_code("")
    (422530883965694588, None)
    """
    if not text:
        return None
    return int(hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:CODE_DIGITS], 16)
