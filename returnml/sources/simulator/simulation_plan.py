"""What is to be simulated: span, volume, seed and the drift scenario."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

import numpy as np

from returnml.settings import EARLIEST_YEAR, LATEST_YEAR


class Scenario(StrEnum):
    """What changes in the world at two thirds of the span."""

    NONE = "none"
    SIZING_CHANGE = "sizing_change"
    VOUCHER_CAMPAIGN = "voucher_campaign"
    NEW_MARKET = "new_market"
    BROKEN_COLUMN = "broken_column"


@dataclass(frozen=True)
class Plan:
    """One simulation; the same plan gives the same bytes.

    Attributes:
        lines_per_day: mean; weekdays and season move it.
        lines_per_customer: mean over the span: how well the shop can know them.
        has_own_columns: whether the shop has columns of its own that matter (``own_columns``).
        label_window_days: the window that the true label probabilities refer to.

    Raises:
        ValueError: naming a field out of range.
    """

    start: date
    days: int
    lines_per_day: int
    seed: int = 1
    scenario: Scenario = Scenario.NONE
    label_window_days: int = 30
    lines_per_customer: int = 14
    has_own_columns: bool = False

    def __post_init__(self) -> None:
        bounds = {
            "days": (1, 3660),
            "lines_per_day": (1, 1_000_000),
            "lines_per_customer": (1, 10_000),
            "seed": (0, 2**63 - 1),
        }
        for name, (lowest, highest) in bounds.items():
            value = getattr(self, name)
            if not lowest <= value <= highest:
                raise ValueError(f"{name} = {value}: expected {lowest} to {highest}")

        if not EARLIEST_YEAR <= self.start.year < LATEST_YEAR - self.days // 365 - 1:
            raise ValueError(f"start = {self.start}: expected {EARLIEST_YEAR} to {LATEST_YEAR - 1}, the last day included")

    @property
    def lines(self) -> int:
        """Expected order lines over the span."""
        return self.days * self.lines_per_day

    @property
    def drift_day(self) -> int:
        """Index of the first day on which the scenario shows."""
        return self.days * 2 // 3

    @property
    def end(self) -> date:
        """The day after the last one."""
        return self.start + timedelta(days=self.days)

    def drifts(self, scenario: Scenario) -> bool:
        return self.scenario is scenario

    def generator(self, part: str) -> np.random.Generator:
        """An independent stream of random numbers for one part of the simulation."""
        return np.random.default_rng([self.seed, zlib.crc32(part.encode())])
