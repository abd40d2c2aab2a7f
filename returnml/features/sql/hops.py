"""The steps in which window tails move, and how a key's step becomes one integer."""

from __future__ import annotations

from dataclasses import dataclass

from returnml.features.sql.engine import Engine
from returnml.features.windows import DAY_US, FIVE_MINUTES_US


@dataclass(frozen=True)
class Hop:
    """One kind of step.

    Attributes:
        name: part of the names of the tables made for it.
        bits: what the number of a step since 1970 takes of the combined integer.
    """

    name: str
    us: int
    bits: int

    def number(self, engine: Engine, at_us: str) -> str:
        """Steps since 1970-01-01 of an expression in microseconds (not before 1970)."""
        return engine.divided(at_us, self.us)

    def combined(self, key: str, number: str) -> str:
        """One integer for a key's step, ordered by key and then by step."""
        return f"({key} * {1 << self.bits} + {number})"

    def key_of(self, engine: Engine, combined: str) -> str:
        return engine.shifted(combined, self.bits)


DAY = Hop("day", DAY_US, 16)
"""To the year 2149."""
SLOT = Hop("slot", FIVE_MINUTES_US, 25)
"""To the year 2289."""
HOPS = (DAY, SLOT)
