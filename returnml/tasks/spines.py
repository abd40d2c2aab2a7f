"""The spines that several tasks may ask about."""

from __future__ import annotations

from returnml.tasks.declaration import Moments, Spine

ORDER_LINES = Spine(
    name="order_line",
    table="features.order_lines",
    asset="features_order_line",
    keys=("line_id",),
    row_id="line_id",
    moments=Moments.EACH_DAY,
    is_logged=True,
)
