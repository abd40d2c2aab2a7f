"""Views of the published copy that answer the usual questions without a join."""

from __future__ import annotations

from collections.abc import Iterator

from returnml.tasks import CHECKOUT
from returnml.tasks.registry import task_named

SCHEMA = "ready"

_LINES = """
SELECT o.known_day, o.line_id, o.order_id, o.customer_id, o.article_id, o.ordered_at, o.product_group, o.brand, o.size, o.color,
    o.country, o.payment_method, o.device, o.quantity, o.line_value_cents, o.currency,
    s.requested_at, s.probability, s.expected_cost_cents, s.action, s.is_explored, s.release, s.in_training,
    t.returned, t.returned_quantity, t.refund_cents, t.mature_at
FROM core.orders o LEFT JOIN {scores} s USING (line_id) LEFT JOIN core.outcomes t USING (line_id)"""


def ready_views(tables: set[str]) -> Iterator[tuple[str, str]]:
    """Name and query of each view whose tables are there: a line without score or outcome is in it, with nulls."""
    scores = task_named(CHECKOUT).score_table
    if {"core.orders", "core.outcomes", scores} <= tables:
        yield f"{SCHEMA}.order_lines", _LINES.format(scores=scores)
