"""Columns that look as if they named persons, so that nobody carries them along unawares."""

from __future__ import annotations

import polars as pl

_NAMES = (
    r"(?i)(mail|phone|telefon|mobile|vorname|nachname|first.?name|last.?name|surname|full.?name|customer.?name|"
    r"birth|geburt|street|strasse|stra\u00dfe|address|adresse|iban|ssn|passport)"
)
_MAIL = r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"
_PHONE = r"^\+\d[\d\s()/-]{7,}$"
_SHARE = 0.05


def personal_columns(rows: pl.DataFrame) -> dict[str, str]:
    """The columns of texts that look so, and why.

    >>> personal_columns(pl.DataFrame({"Note": ["call a@b.de", "x"], "Birthday": ["1990", "1991"], "Channel": ["web", "app"]}))
    {'Note': 'has mail addresses in 1 of 2 values', 'Birthday': 'is named like it'}
    """
    found = {}
    for name in rows.columns:
        values = rows[name].drop_nulls()
        mails, phones = (int(values.str.contains(pattern).sum()) for pattern in (_MAIL, _PHONE))
        if mails:
            found[name] = f"has mail addresses in {mails:,} of {values.len():,} values"
        elif phones > _SHARE * values.len():
            found[name] = f"has telephone numbers in {phones:,} of {values.len():,} values"
        elif pl.Series([name]).str.contains(_NAMES).item():
            found[name] = "is named like it"
    return found
