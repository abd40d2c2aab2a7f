"""What is known of one customer now. Knows no HTTP, reads no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from returnml.features.feature_set import FeatureSet
from returnml.instants import instant
from returnml.ledger.events import MAX_ID_LENGTH
from returnml.store.live import LiveStore
from returnml.store.reading.online import OnlineFeatures
from serving.scoring.scorer import feature_time
from serving.service_errors import InvalidInput
from serving.wire import CustomerFeatures


def check_customer_id(customer_id: str) -> None:
    """
    Raises:
        InvalidInput: for an id that no event can have.
    """
    if not 0 < len(customer_id) <= MAX_ID_LENGTH:
        raise InvalidInput("customer_id", f"{len(customer_id)} characters: 1 to {MAX_ID_LENGTH} are allowed")


def is_known(feature_set: FeatureSet, raw: Mapping[str, Sequence[int | None]]) -> bool:
    """Whether any event of a customer is behind the raw values of their one line."""
    return any(raw[aggregate.name][0] for aggregate in feature_set.aggregates)


class CustomerReader:
    """Reads customers' vectors from the store that scoring reads, as of the same instant."""

    def __init__(self, store: LiveStore, feature_set: FeatureSet) -> None:
        self._features = OnlineFeatures(feature_set, store)
        self._feature_set = feature_set

    def features(self, customer_id: str, is_raw: bool, now_us: int) -> CustomerFeatures:
        """The features of a customer, whoever it is, as of now.

        Args:
            is_raw: whether the exact aggregates behind the features are wanted too.

        Raises:
            StoreError: while there is no generation that serves the feature set.
        """
        declared = self._feature_set
        vectors = self._features.vectors({"customer_id": [customer_id]}, now_us)
        raw = vectors.raw()
        values = [None if value != value else value for value in vectors.matrix[0].tolist()]
        return CustomerFeatures(
            customer_id=customer_id,
            known=is_known(declared, raw),
            feature_set=declared.name,
            feature_set_hash=declared.hash,
            requested_at=instant(vectors.requested_at_us),
            features=feature_time(vectors.seen),
            values=dict(zip(declared.outputs, values, strict=True)),
            raw={name: value for name, [value] in raw.items()} if is_raw else None,
        )
