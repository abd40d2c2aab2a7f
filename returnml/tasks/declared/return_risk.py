"""Will any piece of this order line come back? Asked of every order line at checkout."""

from __future__ import annotations

from returnml.features.sets.order_line import ORDER_LINE
from returnml.tasks.declaration import FACT_COLUMNS, Task, Words
from returnml.tasks.labels import FIRST_RETURNS
from returnml.tasks.spines import ORDER_LINES

LABELS = f"""
SELECT o.line_id, o.ordered_at AS anchor_at, o.mature_at AS matures_at, o.returned AS label, r.return_known_at AS label_known_at,
    l.is_returned IS NOT NULL AS is_flag
FROM core.outcomes o JOIN core.orders l USING (line_id) LEFT JOIN {FIRST_RETURNS} r USING (line_id)
WHERE o.mature_at <= {{cut_off}} AND o.known_at <= {{cut_off}}"""

TASK = Task(
    name="return_risk",
    question="Will any piece of this order line come back?",
    spine=ORDER_LINES,
    feature_set=ORDER_LINE,
    label_rule=lambda label: label,
    labels=LABELS,
    labels_from=("outcomes", "orders", "returns"),
    facts=f"SELECT line_id, ordered_at AS anchor_at, line_value_cents, {', '.join(FACT_COLUMNS)} FROM core.orders",
    facts_from=("orders",),
    copied_from=("orders",),
    value="line_value_cents",
    score_table="scores.daily",
    reason_table="scores.reasons",
    score_columns={"line_id": "VARCHAR", "order_id": "VARCHAR", "customer_id": "VARCHAR", "article_id": "VARCHAR"},
    words=Words("order line", "lines", "ordered", "came back", "were kept"),
    purpose=(
        "Of an order line at checkout: the calibrated probability that any piece of it comes back within {window_days} days of "
        "the order. From it and the policy follow an expected cost and an action (allow, nudge, review, restrict).",
        "It is meant for a shop's own order lines, in batch each morning and online at checkout. It is not meant to judge a "
        "person's credit or honesty, to set prices, or for lines of another shop.",
    ),
    limits=(
        "A return counts within {window_days} days and if known {grace_days} days later; later ones do not.",
        "Probabilities are of lines treated as they were; what an action prevents is the policy's estimate.",
        "A customer or article without history is scored from the order alone, with more uncertainty.",
    ),
    policy=None,
    asset_prefix=(),
    flag_is_final=True,
    rate_features=("article_return_rate_lifetime", "customer_return_rate_lifetime"),
)
