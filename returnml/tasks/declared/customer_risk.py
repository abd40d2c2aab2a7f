"""Will any line that this customer orders in the next 30 days come back? Asked of every customer at the nightly cut-off.

A customer who orders nothing in that time has nothing that comes back: their label is 0. So the probability is that of a
return at all, through ordering as through keeping little, which is what ranks customers by what they will cost. What
comes back once there is an order, ``return_risk`` says. Whole-order cancellations have no outcome and count as no order.
"""

from __future__ import annotations

from returnml.features.sets.customer import CUSTOMER
from returnml.policy.document import SEGMENT_COLUMNS, LeastCost, Policy
from returnml.settings import LabelSettings
from returnml.tasks.declaration import Task, Words
from returnml.tasks.labels import FIRST_RETURNS
from returnml.tasks.spines import CUSTOMERS
from returnml.tasks.stakes import cents_sql

HORIZON_DAYS = 30
VALUE_FEATURE = "customer_value_per_line_365d"

# An order at the cut-off itself is not among its features, which see what was known before: it is the label's.
LABELS = f"""
WITH asked AS (
    SELECT day, customer_id, requested_at, requested_at + to_days({HORIZON_DAYS}) AS until,
        requested_at + to_days({HORIZON_DAYS} + {{window_days}} + {{grace_days}}) AS matures_at
    FROM features.customers WHERE requested_at = day::TIMESTAMP AND {{sampled}}
), returned AS (
    SELECT o.customer_id, o.ordered_at, r.return_known_at
    FROM core.outcomes o LEFT JOIN {FIRST_RETURNS} r USING (line_id) WHERE o.returned = 1 AND o.known_at <= {{cut_off}}
)
SELECT a.day, a.customer_id, a.requested_at AS anchor_at, a.matures_at, (count(r.customer_id) > 0)::TINYINT AS label,
    min(r.return_known_at) AS label_known_at, false AS is_flag
FROM asked a LEFT JOIN returned r
    ON r.customer_id = a.customer_id AND r.ordered_at >= a.requested_at AND r.ordered_at < a.until
WHERE a.matures_at <= {{cut_off}}
GROUP BY a.day, a.customer_id, a.requested_at, a.matures_at"""

FACTS = f"""
SELECT f.day, f.customer_id, f.requested_at AS anchor_at,
    {cents_sql(f"f.{VALUE_FEATURE}")} AS value_cents, l.currency, NULL::VARCHAR AS order_id,
    NULL::VARCHAR AS article_id, {", ".join(f"NULL::VARCHAR AS {column}" for column in SEGMENT_COLUMNS)}
FROM features.customers f ASOF LEFT JOIN core.orders l ON l.customer_id = f.customer_id AND l.known_at < f.requested_at"""


def _label(shop: LabelSettings) -> LabelSettings:
    """The last of the horizon's lines may be ordered at its end."""
    return LabelSettings(window_days=HORIZON_DAYS + shop.window_days, grace_days=shop.grace_days)


TASK = Task(
    name="customer_risk",
    question=f"Will any line that this customer orders in the next {HORIZON_DAYS} days come back?",
    spine=CUSTOMERS,
    feature_set=CUSTOMER,
    label_rule=_label,
    overlap_days=HORIZON_DAYS,
    labels=LABELS,
    labels_from=("outcomes", "returns"),
    facts=FACTS,
    facts_from=("orders",),
    value="value_cents",
    score_table="scores.customers",
    score_columns={"customer_id": "VARCHAR"},
    words=Words("customer", "customers at a cut-off", "asked about", "had a return", "had none"),
    purpose=(
        f"Of a customer at an instant: the calibrated probability that any line they order in the following {HORIZON_DAYS} days "
        "comes back. Whoever orders nothing has nothing that comes back. From it, and from what a line of theirs is usually "
        "worth, follows the expected cost of one such return.",
        "It is meant to rank a shop's own customers for service and advice, each night or one at a time. It is not meant to "
        "judge a person's credit or honesty, to set prices, or to refuse orders.",
    ),
    limits=(
        f"The label of a cut-off is decided within {{window_days}} days ({HORIZON_DAYS} of ordering, the rest of returning) and "
        "known {grace_days} days later.",
        "Cut-offs of one customer lie closer together than the horizon: their labels share orders. The hold-out shares none with "
        "training; calibration follows training without a gap.",
        "The cost is that of one returned line: a customer may send back several.",
        "A customer who never ordered is in no table; asked about online they are scored from an empty history.",
    ),
    policy=Policy(rule=LeastCost(("allow", "nudge"))),
    asset_prefix=("customer_risk",),
    rate_features=("customer_returns_per_order_lifetime", "customer_return_rate_lifetime"),
)
