"""The spines that several tasks may ask about."""

from __future__ import annotations

from returnml.features.sets.shop import KEY_COLUMNS
from returnml.tasks.declaration import Moments, RequestColumns, Sampling, Spine

ORDER_REQUEST = RequestColumns(
    texts=(*KEY_COLUMNS, "voucher_code"),
    integers=("quantity", "unit_price_cents", "list_price_cents", "line_value_cents"),
)
"""Of each line of an order that is to be scored."""

ORDER_LINES = Spine(
    name="order_line",
    table="features.order_lines",
    asset="features_order_line",
    keys=("line_id",),
    row_id="line_id",
    moments=Moments.EACH_DAY,
    is_logged=True,
    request=ORDER_REQUEST,
)

# Every eighth day meets every weekday in turn. A label of 30 days changes little from one day to the next.
CUSTOMERS = Spine(
    name="customer",
    table="features.customers",
    asset="features_customer",
    keys=("day", "customer_id"),
    row_id="customer_id || ' ' || day",
    moments=Moments.CUT_OFF,
    sampling=Sampling(every_days=8, last_days=360),
    request=RequestColumns(texts=("customer_id",)),
)

RETURNS = Spine(
    name="return",
    table="features.returns",
    asset="features_return",
    keys=("return_id",),
    row_id="return_id",
    moments=Moments.EACH_DAY,
)

INSPECTABLE = (
    "(SELECT r.* REPLACE (o.customer_id AS customer_id, o.article_id AS article_id) FROM core.returns AS r "
    "JOIN core.orders AS o USING (line_id) WHERE NOT r.is_orphan AND NOT coalesce(r.is_cancellation, false))"
)
"""A query: the returns of the spine ``RETURNS``, from when their line is known."""
