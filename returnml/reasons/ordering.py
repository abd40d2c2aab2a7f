"""From contributions to ordered reasons: the families that raise a line's risk most."""

from __future__ import annotations

import msgspec
import numpy as np

from returnml.features.families import Family
from returnml.features.feature_set import FeatureSet
from returnml.reasons.kernel import Explainer, ExplainerError

MAX_REASONS = 4


class Reason(msgspec.Struct, frozen=True):
    """One reason of a line.

    Attributes:
        contribution: of the family, in log-odds before calibration; above 0.
        feature: of the family, the one that adds most.
        value: of that feature, float32; None where missing.
    """

    family: str
    text: str
    contribution: float
    feature: str
    value: float | None


class Reasoner:
    """Says why rows of a feature set got their scores.

    Raises:
        ExplainerError: if the explainer is of another number of inputs, or the feature set declares no families.
    """

    def __init__(self, explainer: Explainer, feature_set: FeatureSet) -> None:
        self._names = feature_set.outputs
        if explainer.width != len(self._names):
            raise ExplainerError(f"the explainer takes {explainer.width} inputs, {feature_set.name} has {len(self._names)}")
        if not feature_set.families:
            raise ExplainerError(f"feature set {feature_set.name} declares no families: nothing can be said of its scores")
        self._explainer = explainer
        self._families = feature_set.families
        numbers = {family.name: i for i, family in enumerate(self._families)}
        self._number = np.array([numbers[feature_set.family_of[name]] for name in self._names])
        self._members = [np.flatnonzero(self._number == i) for i in range(len(self._families))]
        self._claims = [self._claims_of(family) for family in self._families]

    def _claims_of(self, family: Family) -> list[tuple[int, float]]:
        """Positions of the features that the family's claims are about, and what they must exceed."""
        return [(self._names.index(claim.feature), claim.above) for claim in family.claims]

    def reasons(self, x: np.ndarray) -> list[list[Reason]]:
        """At most ``MAX_REASONS`` reasons of each row, the strongest first; families that lower the score are none.

        Args:
            x: float32, shape (n, features).
        """
        rows = zip(x, self._explainer.contributions(x), strict=True)
        return [self._of_row(row, added) for row, added in rows]

    def _of_row(self, row: np.ndarray, added: np.ndarray) -> list[Reason]:
        totals = np.bincount(self._number, added, len(self._families))
        found: list[Reason] = []
        for i in np.argsort(-totals, kind="stable").tolist():
            if totals[i] <= 0.0 or len(found) == MAX_REASONS:
                break
            claims = self._claims[i]
            if claims and not any(row[at] > above for at, above in claims):
                continue
            members = self._members[i]
            top = int(members[added[members].argmax()])
            value = float(row[top])
            family = self._families[i]
            found.append(Reason(family.name, family.text, float(totals[i]), self._names[top], None if value != value else value))
        return found
