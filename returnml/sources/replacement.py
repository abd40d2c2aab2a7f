"""What a delivery of mode ``replace`` speaks for: a period of the shop's local days, or whole UTC days."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Replacement:
    """The instants that a delivery is all there is of.

    Attributes:
        label: in words.
        parts: by UTC day, the part of it that is replaced: from (inclusive) and to (exclusive), naive UTC.
    """

    label: str
    parts: Mapping[date, tuple[datetime, datetime]]

    @property
    def whole_days(self) -> list[date]:
        """The UTC days that are replaced from their first to their last instant."""
        return [day for day, (start, end) in self.parts.items() if end - start == _DAY]


def local_period(first: date, last: date, timezone: str) -> Replacement:
    """The local days ``first`` to ``last`` (inclusive) of a time zone.

    >>> period = local_period(date(2025, 2, 2), date(2025, 2, 2), "Europe/Berlin")
    >>> [f"{day}: {start:%H}-{end:%H}" for day, (start, end) in period.parts.items()]
    ['2025-02-01: 23-00', '2025-02-02: 00-23']
    """
    zone = ZoneInfo(timezone)
    start, end = (
        datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC).replace(tzinfo=None) for d in (first, last + _DAY)
    )
    parts = {}
    day = start.date()
    while _midnight(day) < end:
        parts[day] = (max(start, _midnight(day)), min(end, _midnight(day + _DAY)))
        day += _DAY
    return Replacement(f"{first}..{last} ({timezone})", parts)


def utc_days(days: Collection[date]) -> Replacement:
    """Whole UTC days."""
    ordered = sorted(days)
    label = f"{len(ordered)} days, {ordered[0]} to {ordered[-1]} (UTC)" if ordered else "no days"
    return Replacement(label, {day: (_midnight(day), _midnight(day + _DAY)) for day in ordered})


def parse_period(text: str, timezone: str) -> Replacement:
    """``FROM..TO`` or one day, as ``YYYY-MM-DD``.

    Raises:
        ValueError: where the text is no period.
    """
    first, _, last = text.partition("..")
    try:
        start, end = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError as error:
        raise ValueError(f"{text!r} is no period: expected YYYY-MM-DD..YYYY-MM-DD [replace_period]") from error
    if end < start or (".." in text and not last):
        raise ValueError(f"{text!r} is no period: it has no last day, or one before the first [replace_period]")
    return local_period(start, end, timezone)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)
