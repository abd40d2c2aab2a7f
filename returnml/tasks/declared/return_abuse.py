"""Will inspection find that a return is abuse? Asked of every return at the moment it is requested.

Abuse is what a verdict says the customer did (``ABUSE_VERDICTS``). A return waits ``INSPECTION_DAYS`` for its verdict:
what is known by then is its label, known from the inspection on; without one it has no label, ever: an inspection that
never was found nothing, but it did not find nothing. No return is learnt from before that time is over, though many
verdicts are there after a day: those that come fast need not be like those that take long.
"""

from __future__ import annotations

from returnml.features.sets.return_request import RETURN_REQUEST
from returnml.policy.document import Costs, Effect, Effects, LeastCost, Policy
from returnml.settings import LabelSettings
from returnml.tasks.declaration import FACT_COLUMNS, Task, Words
from returnml.tasks.spines import INSPECTABLE, RETURNS

INSPECTION_DAYS = 14

# A verdict that was known before its return was is no answer to a question about it.
LABELS = f"""
SELECT r.return_id, r.known_at AS anchor_at, r.known_at + to_days({INSPECTION_DAYS}) AS matures_at,
    max(i.is_abuse)::TINYINT AS label, min(i.known_at) FILTER (i.is_abuse = 1) AS label_known_at, false AS is_flag
FROM {INSPECTABLE} r JOIN core.inspections i USING (return_id)
WHERE i.known_at <= r.known_at + to_days({INSPECTION_DAYS}) AND r.known_at + to_days({INSPECTION_DAYS}) <= {{cut_off}}
GROUP BY r.return_id, r.known_at HAVING min(i.known_at) >= r.known_at"""

# What abuse costs is the refund of goods that nobody can sell again; a closer look finds most of it.
POLICY = Policy(
    costs=Costs(freight_cents=0, handling_cents=0, markdown_share=1.0, margin_share=0.0),
    effects=Effects(review=Effect(prevented_share=0.8, deterred_share=0.0, cost_cents=300)),
    rule=LeastCost(("allow", "review")),
)

TASK = Task(
    name="return_abuse",
    question="Will inspection find that this return is abuse?",
    spine=RETURNS,
    feature_set=RETURN_REQUEST,
    label_rule=lambda shop: LabelSettings(window_days=INSPECTION_DAYS, grace_days=0),
    labels=LABELS,
    labels_from=("returns", "inspections"),
    facts=f"SELECT return_id, known_at AS anchor_at, line_id, refund_cents, {', '.join(FACT_COLUMNS)} FROM {INSPECTABLE}",
    facts_from=("returns",),
    copied_from=("returns",),
    value="refund_cents",
    score_table="scores.returns",
    score_columns={
        "return_id": "VARCHAR",
        "line_id": "VARCHAR",
        "order_id": "VARCHAR",
        "customer_id": "VARCHAR",
        "article_id": "VARCHAR",
    },
    words=Words("return", "returns", "requested", "were found to be abuse", "were not"),
    purpose=(
        "Of a return at the moment it is requested: the calibrated probability that inspection finds the goods worn, or the box "
        "empty. From it and the refund follow an expected loss and whether a closer look is worth its cost (allow, review).",
        "It is meant to choose which of a shop's own returns are inspected closely, in batch each morning. It is not meant to "
        "refuse a refund, to accuse a customer, to judge a person's credit or honesty, or for returns of another shop.",
    ),
    limits=(
        "A verdict counts if it is known within {window_days} days of the request. Returns without one by then are not among its "
        "figures: of what is never inspected nothing is known.",
        "Verdicts are people's: what an inspector misses, or sees in honest returns, the model learns. Damage and wrong articles "
        "count as no abuse: carrier and warehouse cause them too.",
        "Where only suspicious returns are inspected, probabilities are of such returns, and too high for others.",
        "A customer without inspected returns is scored from line, article and payment alone: most abuse is then unseen.",
    ),
    policy=POLICY,
    asset_prefix=("return_abuse",),
    rate_features=("inspected_customer_abuse_rate_lifetime",),
)
