"""Keys of the store: a group's number and its key parts, unambiguous and of bounded length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

MAX_BYTES = 480
"""LMDB takes 511; longer keys are stored under their hash."""

GROUPS = 0x40
"""Groups are numbered below this. In a generation a group's own section holds heads, in the live part tiles."""
TILES, LISTS = 0x40, 0x80
"""Added to a group's number: a generation's tiles; the lists of values of ``distinct`` measures."""
LINES, RETURNS, INSPECTIONS, WAITING, SHOP = 0xF0, 0xF1, 0xF2, 0xF3, 0xF4
"""Sections of the index: what is known of order lines, which returns and inspections there are, the returns that wait for a
line, and what is known of the shop."""

_SECTIONS = {LINES: "order line", RETURNS: "return", INSPECTIONS: "inspection", WAITING: "waiting return", SHOP: "shop"}
_MAX_PART = 0xFFFE
_HASHED = b"\xff\xff"
_PREFIXES = [bytes([group]) for group in range(256)]


def encode_key(group: int, parts: Iterable[str]) -> bytes:
    r"""The key of an entity.

    >>> encode_key(3, ("c1", "a9"))
    b'\x03\x00\x02c1\x00\x02a9'

    Args:
        group: the group's position in its feature set, below ``GROUPS``, or a section of the above.
        parts: the key columns' values, none of them null.

    Raises:
        ValueError: for a part of more than 65,534 bytes.
    """
    return bounded(_PREFIXES[group] + b"".join([encode_part(part) for part in parts]))


CURRENCY = b"\xf4\x00\x08currency"
"""Where the currency of all amounts is kept."""


def bounded(key: bytes) -> bytes:
    """The key to store for a section's number and encoded parts, however long these are."""
    return key if len(key) <= 1 + MAX_BYTES else key[:1] + _HASHED + hashlib.sha256(key[1:]).digest()


def in_section(section: int, key: bytes) -> bytes:
    """The key of the same entity in another of its group's sections, ``TILES`` or ``LISTS``."""
    return _PREFIXES[key[0] + section] + key[1:]


def describe_key(key: bytes) -> tuple[int | str, list[str]]:
    r"""What a key is of: its group's number or its section's name, and its parts (none where they are hashed).

    >>> describe_key(b"\x03\x00\x02c1\x00\x02a9"), describe_key(b"\xf0\x00\x02l1")
    ((3, ['c1', 'a9']), ('order line', ['l1']))
    """
    section: int | str = _SECTIONS.get(key[0], key[0] % GROUPS)
    body = key[1:]
    parts: list[str] = []
    if body[: len(_HASHED)] != _HASHED:
        while body:
            end = 2 + int.from_bytes(body[:2], "big")
            parts.append(body[2:end].decode("utf-8", "surrogatepass"))
            body = body[end:]
    return section, parts


# Within an order, and over orders, the same few parts come back for every group.
@lru_cache(maxsize=1 << 15)
def encode_part(part: str) -> bytes:
    """One part with its length.

    Raises:
        ValueError: for a part of more than 65,534 bytes.
    """
    text = part.encode("utf-8", "surrogatepass")
    if len(text) > _MAX_PART:
        raise ValueError(f"a key part of {len(text)} bytes: at most {_MAX_PART}")
    return len(text).to_bytes(2, "big") + text
