"""The live feature sets: those whose tiles the nightly job keeps and whose vectors the online store can serve."""

from __future__ import annotations

from returnml.features.customer import CUSTOMER
from returnml.features.order_line import ORDER_LINE
from returnml.features.union import union

FEATURE_SETS = (ORDER_LINE, CUSTOMER)
TILE_GROUPS = union(FEATURE_SETS)
"""The key groups that have tiles: the union of what the live feature sets declare."""
