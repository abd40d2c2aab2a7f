"""Tables of ``returnml.toml`` that say what is true of the shop, its data and its customers."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec


class ShopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is true of the shop as a whole.

    Attributes:
        currency: ISO 4217 code of all its amounts. Undeclared it is that of the first amount. Amounts in others are converted
            where the shop recorded rates (``returnml rates import``), and refused where it did not.
        rate_max_age_days: a day's rate converts nothing more than so many days later: weekends and holidays have none.
        timezone: IANA name; of times in its files without an offset, unless a mapping has its own. Partitions are UTC days.
    """

    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")] | None = None
    rate_max_age_days: Annotated[int, msgspec.Meta(ge=0, le=366)] = 7
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"timezone: {self.timezone!r} is no IANA time zone") from None


class LabelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a line counts as returned, and when that is known."""

    window_days: int = 30
    grace_days: int = 3


class QualitySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When delivered data stop the line. A shop that also delivers guests' orders or fees needs a larger share."""

    max_quarantined_share: float = 0.2


class PrivacySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How customers are known.

    Attributes:
        customer_ids: ``pseudonymise``: by pseudonyms from the keyring, which only it links to the shop's ids;
            ``as_delivered``: by the ids that the shop sends, which are pseudonyms of its own.
    """

    customer_ids: Literal["pseudonymise", "as_delivered"] = "pseudonymise"
