"""What the champion of ``customer_risk`` says of one customer now. Knows no HTTP, reads no clock."""

from __future__ import annotations

from returnml.instants import instant
from returnml.settings import Settings
from returnml.store.live import LiveStore
from returnml.store.reading.online import OnlineFeatures
from returnml.tasks.declared.customer_risk import TASK, VALUE_FEATURE
from returnml.tasks.stakes import cents
from serving.scoring.customer_features import is_known
from serving.scoring.roster import Member
from serving.scoring.scorer import feature_time
from serving.wire import CustomerRisk

_VALUE_AT = TASK.feature_set.outputs.index(VALUE_FEATURE)


class RiskReader:
    """Scores customers with one release on the store that orders are scored from."""

    def __init__(self, member: Member, store: LiveStore, _: Settings) -> None:
        self._model = member.model
        self._decider = member.decider
        self._features = OnlineFeatures(TASK.feature_set, store)

    def risk(self, customer_id: str, now_us: int) -> CustomerRisk:
        """The answer about a customer, whoever it is, as of now: what batch says of them at a cut-off of this instant.

        Raises:
            StoreError: while there is no generation that serves the feature set.
        """
        vectors = self._features.vectors({"customer_id": [customer_id]}, now_us)
        probability = self._model.probability(vectors.matrix)
        value = cents(vectors.matrix[:, _VALUE_AT])
        # A policy that asks for more than a customer has finds it missing, as in batch.
        decided = self._decider.decide(probability, value, {column: [None] for column in self._decider.columns})
        return CustomerRisk(
            customer_id=customer_id,
            known=is_known(TASK.feature_set, vectors.raw()),
            probability=probability.tolist()[0],
            expected_cost_cents=decided.expected_cost_cents.tolist()[0],
            value_cents=int(value[0]),
            action=decided.action_names()[0],
            release=self._model.version,
            feature_set_hash=TASK.feature_set.hash,
            requested_at=instant(vectors.requested_at_us),
            features=feature_time(vectors.seen),
        )
