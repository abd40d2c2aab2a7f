"""Microseconds since the epoch as instants and days, and back, exactly."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(at_us: int) -> datetime:
    """In UTC.

    >>> instant(1_308_096_000_000_001).isoformat()
    '2011-06-15T00:00:00.000001+00:00'
    """
    return _EPOCH + timedelta(microseconds=at_us)


def instant_us(at: datetime) -> int:
    """Of an instant; UTC where it names no zone.

    >>> instant_us(datetime(1970, 1, 1, 0, 0, 1, 5)), instant_us(datetime.fromisoformat("1970-01-01T01:00+01:00"))
    (1000005, 0)
    """
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def written_us(text: str | None) -> int | None:
    """Of an instant in ISO 8601; UTC where it names no zone, none where there is none.

    >>> written_us("1970-01-01T00:00:01Z"), written_us(None)
    (1000000, None)
    """
    return None if text is None else instant_us(datetime.fromisoformat(text))


def day_us(day: date) -> int:
    """The start of a UTC day.

    >>> day_us(date(1970, 1, 2))
    86400000000
    """
    return instant_us(datetime(day.year, day.month, day.day))


def day_of(at_us: int) -> date:
    """The UTC day.

    >>> day_of(1_308_096_000_000_000)
    datetime.date(2011, 6, 15)
    """
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).date()
