"""Digits of the minor unit of each currency (ISO 4217, list one)."""

from __future__ import annotations

USUAL_DIGITS = 2
"""Of every currency that is not in :data:`MINOR_DIGITS`."""

MINOR_DIGITS: dict[str, int] = {
    **dict.fromkeys(
        ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"], 0
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
"""The currencies whose minor unit is no hundredth: 1,500 yen are 1500 minor units, 1.500 dinars of Kuwait as well."""
