"""What the champion of ``customer_risk`` says of one customer now. Knows no HTTP, reads no clock."""

from __future__ import annotations

from returnml.instants import instant
from returnml.policy.decisions import Decider
from returnml.policy.document import Policy
from returnml.release.folder import load_release, release_folder
from returnml.release.proof import proven_state
from returnml.settings import Settings
from returnml.store.live import LiveStore
from returnml.store.reading.online import OnlineFeatures
from returnml.tasks.declared.customer_risk import TASK, VALUE_FEATURE
from returnml.tasks.stakes import cents
from serving.scoring.customer_features import is_known
from serving.scoring.released_model import Model
from serving.scoring.scorer import feature_time
from serving.wire import CustomerRisk

_VALUE_AT = TASK.feature_set.outputs.index(VALUE_FEATURE)


class RiskReader:
    """Scores customers with one release on the store that orders are scored from."""

    def __init__(self, model: Model, decider: Decider, store: LiveStore) -> None:
        self._model = model
        self._decider = decider
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
            customer_id,
            is_known(TASK.feature_set, vectors.raw()),
            probability.tolist()[0],
            decided.expected_cost_cents.tolist()[0],
            int(value[0]),
            decided.action_names()[0],
            self._model.version,
            TASK.feature_set.hash,
            instant(vectors.requested_at_us),
            feature_time(vectors.seen),
        )


def open_risk(settings: Settings, store: LiveStore, policy: Policy) -> RiskReader | None:
    """By the release that decides; None while none does.

    Raises:
        DeploymentError, ReleaseError, ModelError: for what cannot be read or trusted.
    """
    champion = proven_state(settings, TASK.name).champion
    if champion is None:
        return None
    model = Model(load_release(release_folder(settings.paths.releases, champion)), TASK.feature_set)
    return RiskReader(model, Decider(policy), store)
