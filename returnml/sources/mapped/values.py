"""Turns columns of strings into contract types, exactly; a value that cannot be read becomes null, for the caller to report."""

from __future__ import annotations

import re
from datetime import datetime

import polars as pl

from returnml.exchange.minor_units import MINOR_DIGITS, USUAL_DIGITS
from returnml.instants import instant_us
from returnml.sources.mapped.mapping import EPOCH_UNITS, Mapping

_FIRST, _LAST = datetime(1, 1, 3), datetime(9999, 12, 29)
"""Two days within what Python's dates hold, so that any offset from UTC leaves them there."""
_OFFSET = r"(?:Z|[+-]\d{2}:?\d{2})$"


def to_integer(values: pl.Expr, mapping: Mapping) -> pl.Expr:
    """Whole numbers; ``3.0`` is one, ``3.5`` is not."""
    return _scaled(values, mapping, digits=0, allows_fraction=False)


def to_minor_units(values: pl.Expr, mapping: Mapping, currency: pl.Expr) -> pl.Expr:
    """Amounts shifted by ``minor_digits``, in decimal (no float on the way); half a minor unit rounds away from zero.

    Args:
        currency: ISO 4217 codes; where the mapping states no ``minor_digits``, each row has those of its currency.
    """
    if mapping.minor_digits is not None:
        return _scaled(values, mapping, digits=mapping.minor_digits, allows_fraction=True)
    read = _scaled(values, mapping, digits=USUAL_DIGITS, allows_fraction=True)
    for digits in sorted(set(MINOR_DIGITS.values())):
        codes = [code for code, own in MINOR_DIGITS.items() if own == digits]
        read = pl.when(currency.is_in(codes)).then(_scaled(values, mapping, digits, allows_fraction=True)).otherwise(read)
    return read


def to_boolean(values: pl.Expr, mapping: Mapping) -> pl.Expr:
    """By the mapping's true and false values, in any case."""
    lower = values.str.strip_chars().str.to_lowercase()
    is_true = lower.is_in([value.lower() for value in mapping.true_values])
    is_false = lower.is_in([value.lower() for value in mapping.false_values])
    return pl.when(is_true).then(True).when(is_false).then(False)


def to_instant(values: pl.Expr, mapping: Mapping, datetime_format: str | None) -> pl.Expr:
    """Instants in UTC. Where clocks are set back, the earlier of the two times is meant; a skipped time is unreadable.

    So is one outside the years 1 to 9999, which Python's dates do not hold: milliseconds declared as seconds, for example.
    """
    if datetime_format in EPOCH_UNITS:
        unit = EPOCH_UNITS[datetime_format]
        whole = values.str.strip_chars().cast(pl.Int64, strict=False)
        fits = whole.is_between(instant_us(_FIRST) // unit, instant_us(_LAST) // unit)  # else the product would wrap around
        return (pl.when(fits).then(whole) * unit).cast(pl.Datetime("us"))
    if datetime_format is not None:
        text = values.str.strip_chars()
        if "%z" in datetime_format or "%:z" in datetime_format:
            return _to_utc(text, datetime_format)
        return _from_local(text.str.to_datetime(datetime_format, time_unit="us", strict=False), mapping)
    text = values.str.strip_chars().str.replace("T", " ", literal=True)
    with_offset = text.str.contains(rf"\d{{2}}:\d{{2}}.*{_OFFSET}")
    offset = text.str.extract(f"({_OFFSET})").str.replace("Z", "+0000", literal=True).str.replace(":", "", literal=True)
    local = _full_time(text.str.replace(_OFFSET, "")).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    naive = _full_time(text).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    minutes = offset.str.slice(1, 2).cast(pl.Int64, strict=False) * 60 + offset.str.slice(3, 2).cast(pl.Int64, strict=False)
    signed = pl.when(offset.str.starts_with("-")).then(-minutes).otherwise(minutes)
    return pl.when(with_offset).then(_bounded(local) - pl.duration(minutes=signed)).otherwise(_from_local(naive, mapping))


def _bounded(at: pl.Expr) -> pl.Expr:
    return pl.when(at.is_between(_FIRST, _LAST)).then(at)


def _full_time(text: pl.Expr) -> pl.Expr:
    """Complete ``YYYY-MM-DD`` and ``YYYY-MM-DD HH:MM``."""
    return (
        pl.when(text.str.len_chars() == 10)
        .then(text + " 00:00:00")
        .when(text.str.contains(r"^.{10} \d{2}:\d{2}$"))
        .then(text + ":00")
        .otherwise(text)
    )


def _from_local(naive: pl.Expr, mapping: Mapping) -> pl.Expr:
    zoned = _bounded(naive).dt.replace_time_zone(mapping.timezone, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def _to_utc(text: pl.Expr, datetime_format: str) -> pl.Expr:
    at = text.str.to_datetime(datetime_format, time_unit="us", strict=False, time_zone="UTC")
    return _bounded(at.dt.replace_time_zone(None))


def _scaled(values: pl.Expr, mapping: Mapping, digits: int, allows_fraction: bool) -> pl.Expr:
    decimal = re.escape(mapping.decimal)
    text = values.str.strip_chars()
    if mapping.thousands:
        grouped = rf"^[+-]?\d{{1,3}}(?:{re.escape(mapping.thousands)}\d{{3}})+(?:{decimal}\d*)?$"
        text = pl.when(text.str.contains(grouped)).then(text.str.replace_all(mapping.thousands, "", literal=True)).otherwise(text)
    fraction_pattern = r"\d*" if allows_fraction else "0*"
    pattern = rf"^([+-]?)(\d{{1,15}})(?:{decimal}({fraction_pattern}))?$"
    sign = pl.when(text.str.extract(pattern, 1) == "-").then(-1).otherwise(1)
    whole = text.str.extract(pattern, 2).cast(pl.Int64, strict=False)
    fraction = text.str.extract(pattern, 3).fill_null("").str.pad_end(digits + 1, "0")
    minor = fraction.str.slice(0, digits).cast(pl.Int64, strict=False).fill_null(0) if digits else pl.lit(0, pl.Int64)
    rounds_up = fraction.str.slice(digits, 1).cast(pl.Int64, strict=False).fill_null(0) >= 5
    return sign * (whole * 10**digits + minor + rounds_up.cast(pl.Int64))
