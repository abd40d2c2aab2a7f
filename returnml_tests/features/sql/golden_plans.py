"""Plans of a small declaration as text, one file each in ``plans``.

After a change of the SQL that is meant, write them anew and read the difference:

    python -m returnml_tests.features.sql.golden_plans
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from returnml.features.declarations import Aggregation, BasketAggregate, InputKind, KeyGroup, Operation, RequestInput, Stream
from returnml.features.sql.duckdb import DUCKDB
from returnml.features.sql.hops import DAY, HOPS
from returnml.features.sql.measured import Extent, Measured, Moments
from returnml.features.sql.measures import Bound, Measure
from returnml.features.sql.plan import Inputs, plan
from returnml.features.sql.steps import Plan
from returnml.features.windows import Window

FOLDER = Path(__file__).parent / "plans"

ORDERS = Stream("orders", "core.orders", {"cents": 30}, texts=("method",))
OUTCOMES = Stream("outcomes", "core.outcomes", {"returned": 1}, is_derived=True)
WEEK, HOUR, LIFETIME = (Window.parse(name) for name in ("7d", "1h", "lifetime"))
CUSTOMER = KeyGroup(
    "customer",
    ("customer_id",),
    (
        Aggregation(ORDERS, Operation.COUNT, None, (HOUR, WEEK)),
        Aggregation(ORDERS, Operation.SUM, "cents", (WEEK,)),
        Aggregation(ORDERS, Operation.DISTINCT, "method", (HOUR,)),
        Aggregation(ORDERS, Operation.SINCE_LAST, None, (LIFETIME,)),
        Aggregation(OUTCOMES, Operation.SUM, "returned", (LIFETIME,)),
    ),
)
ARTICLE_SIZE = KeyGroup("article_size", ("article_id", "size"), (Aggregation(OUTCOMES, Operation.COUNT, None, (WEEK,)),))
COUNT, CENTS = Measure("orders", Operation.COUNT, None), Measure("orders", Operation.SUM, "cents")
OUTCOME_COUNT, RETURNED = Measure("outcomes", Operation.COUNT, None), Measure("outcomes", Operation.SUM, "returned")
INPUTS = Inputs(
    "spine",
    (CUSTOMER, ARTICLE_SIZE),
    (RequestInput("hour", InputKind.HOUR_OF_DAY, "hour"), RequestInput("size_rank", InputKind.LETTER_SIZE, "rank", "size")),
    (BasketAggregate("basket_lines", Operation.COUNT, "lines of the request"),),
)
DAYS = (date(2025, 3, 1), date(2025, 3, 2))
EXTENT = Extent(DAYS, DAYS, (date(2025, 2, 28), date(2025, 3, 1)))
KEYS = {"customer_id": 3, "article_id": 5, "size": 4}
BOUNDS = {
    COUNT: Bound(6, is_signed=False),
    CENTS: Bound(9_000),
    OUTCOME_COUNT: Bound(4, is_signed=False),
    RETURNED: Bound(2, is_signed=False),
}

FROM_STREAMS = Measured(Moments(8, EXTENT, True, HOPS, HOPS, KEYS), {}, BOUNDS, {})
"""Every moment sees all that was known before it."""
FROM_TILES = Measured(
    Moments(8, EXTENT, False, (DAY,), (), KEYS),
    {"customer": ((date(2025, 2, 20), date(2025, 3, 2)),), "article_size": ((date(2025, 2, 20), date(2025, 3, 1)),)},
    BOUNDS,
    {
        "customer": {COUNT: Bound(18), CENTS: Bound(27_000), RETURNED: Bound(6)},
        "article_size": {OUTCOME_COUNT: Bound(12)},
    },
)
"""What is visible of derived streams ends a day before; totals are read from stored tiles."""


def plans() -> dict[str, Plan]:
    """By the names of their files."""
    found = {"from_streams": plan(INPUTS, FROM_STREAMS, DUCKDB), "from_tiles": plan(INPUTS, FROM_TILES, DUCKDB)}
    return found | {"one_feature": found["from_streams"].only(["customer_orders_cents_sum_7d"])}


if __name__ == "__main__":
    for name, planned in plans().items():
        (FOLDER / f"{name}.sql").write_text(planned.text())
