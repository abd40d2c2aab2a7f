"""Columns of a shop's own that matter: birth date and registration of a customer, material and supplier of an article.

No contract has them: they are delivered beside it, and become features where a shop declares them as attributes. They are
drawn apart, so that a simulation without them is what it ever was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from returnml.sources.simulator.baskets import Lines
from returnml.sources.simulator.simulation_plan import Plan
from returnml.sources.simulator.world import Articles, Customers, Floats, Ints

MATERIALS = ("cotton", "linen", "wool", "silk", "polyester", "viscose", "leather", "denim", "cashmere", "nylon")
SUPPLIERS = 24
YOUNGEST, OLDEST = 18, 85
UNKNOWN_SHARE = 0.05
"""Of the customers whose birth date the shop does not know."""
DAYS_PER_YEAR = 365.25
_NEWNESS_DAYS = 120.0


@dataclass(frozen=True)
class OwnColumns:
    """One entry per customer, or per article.

    Attributes:
        age_years: on the first day of the span.
        is_age_known: whether the shop knows it.
        registered_day: index of the day; before the span for those who were there from its first day on.
        material_logit, supplier_logit: of each material and supplier, what it adds to the chance of coming back.
    """

    age_years: Floats
    is_age_known: np.ndarray
    registered_day: Ints
    material: Ints
    supplier: Ints
    material_logit: Floats
    supplier_logit: Floats

    def logit(self, lines: Lines) -> Floats:
        """What they add for each line: young customers and new accounts send more back."""
        buyer, article = lines.customer, lines.article
        age = self.age_years[buyer] + lines.day / DAYS_PER_YEAR
        tenure = np.maximum(lines.day - self.registered_day[buyer], 0)
        return (
            -0.06 * (age - 42.0)
            + 1.5 * np.exp(-tenure / _NEWNESS_DAYS)
            + self.material_logit[self.material[article]]
            + self.supplier_logit[self.supplier[article]]
        )

    def columns(self, plan: Plan, lines: Lines) -> list[pl.Series]:
        """``birth_date``, ``registered_on``, ``material`` and ``supplier`` of each line, as the order table has them."""
        born = plan.start.toordinal() - np.floor(self.age_years * DAYS_PER_YEAR).astype(np.int64)
        registered = plan.start.toordinal() + self.registered_day
        epoch = date(1970, 1, 1).toordinal()
        days = pl.Series("birth_date", (born - epoch)[lines.customer]).cast(pl.Int32).cast(pl.Date)
        known = pl.Series(self.is_age_known[lines.customer])
        return [
            pl.select(pl.when(known).then(days).alias("birth_date")).to_series(),
            pl.Series("registered_on", (registered - epoch)[lines.customer]).cast(pl.Int32).cast(pl.Date),
            pl.Series("material", MATERIALS).gather(self.material[lines.article]),
            pl.Series("supplier", [f"supplier-{n:02d}" for n in range(SUPPLIERS)]).gather(self.supplier[lines.article]),
        ]


def draw_own_columns(plan: Plan, articles: Articles, customers: Customers) -> OwnColumns:
    """Draw them from a stream of their own."""
    rng = plan.generator("own columns")
    n, before = len(customers), rng.gamma(1.5, 400.0, len(customers))
    return OwnColumns(
        age_years=np.clip(rng.normal(42.0, 14.0, n), YOUNGEST, OLDEST),
        is_age_known=rng.random(n) >= UNKNOWN_SHARE,
        registered_day=np.where(customers.joined_day > 0, customers.joined_day, -before.astype(np.int64)),
        material=rng.integers(0, len(MATERIALS), len(articles)),
        supplier=rng.integers(0, SUPPLIERS, len(articles)),
        material_logit=rng.normal(0, 0.6, len(MATERIALS)),
        supplier_logit=rng.normal(0, 0.6, SUPPLIERS),
    )
