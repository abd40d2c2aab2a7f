"""What can be wrong with features; raised by the modules that compute them."""

from __future__ import annotations


class FeatureError(ValueError):
    """A spine, a declaration or data that features cannot be computed from; the message names it."""


class StaleTilesError(FeatureError):
    """Tiles that are missing or were built on what has since changed; the message names the days to backfill."""
