"""From contributions to ordered reasons: the families that raise a line's risk most."""

from __future__ import annotations

import msgspec
import numpy as np

from returnml.features.feature_set import FeatureSet
from returnml.reasons.families import FamilyError, families_of, family_numbers
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
        ExplainerError: if the explainer is of another number of inputs.
        FamilyError: if a feature does not belong to exactly one family.
    """

    def __init__(self, explainer: Explainer, feature_set: FeatureSet) -> None:
        self._names = feature_set.outputs
        if explainer.width != len(self._names):
            raise ExplainerError(f"the explainer takes {explainer.width} inputs, {feature_set.name} has {len(self._names)}")
        self._explainer = explainer
        self._families = families_of(feature_set)
        self._number = np.array(family_numbers(self._names, self._families))
        self._members = [np.flatnonzero(self._number == i) for i in range(len(self._families))]
        self._claims = [self._claim(i) for i in range(len(self._families))]

    def _claim(self, family: int) -> tuple[int, float] | None:
        claim = self._families[family].claim
        if claim is None or not len(self._members[family]):
            return None
        if claim[0] not in self._names:
            raise FamilyError(f"family {self._families[family].name}: its claim is about {claim[0]!r}, which is no feature")
        return self._names.index(claim[0]), claim[1]

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
            claim = self._claims[i]
            if claim is not None and not row[claim[0]] > claim[1]:
                continue
            members = self._members[i]
            top = int(members[added[members].argmax()])
            value = float(row[top])
            family = self._families[i]
            found.append(Reason(family.name, family.text, float(totals[i]), self._names[top], None if value != value else value))
        return found
