"""What can be wrong with features; raised by the modules that compute them."""

from __future__ import annotations

from collections.abc import Iterable

from returnml.errors import Refusal
from returnml.features.declarations import Stream


class FeatureError(Refusal):
    """A spine, a declaration or data that features cannot be computed from; the message names it."""


class StaleTilesError(FeatureError):
    """Tiles that are missing or were built on what has since changed; the message names the days to backfill."""


def check_widths(stream: Stream, largest: Iterable[int | None]) -> None:
    """Refuse values beyond their declared bits.

    Args:
        largest: of each column the largest magnitude; None without a value.

    Raises:
        FeatureError: naming table, column and value.
    """
    for (column, bits), value in zip(stream.columns.items(), largest, strict=False):
        if value is not None and int(value).bit_length() > bits:
            raise FeatureError(f"{stream.table}.{column}: a value of magnitude {value} exceeds the declared {bits} bits")
