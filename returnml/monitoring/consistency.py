"""Whether vectors that were served and the same vectors computed in batch have the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Example:
    """One place where the two differ.

    Attributes:
        moment: the row's name as the caller gave it.
    """

    moment: str
    served: float
    recomputed: float


@dataclass
class FeatureAgreement:
    """One feature over all rows compared so far; ``first`` is the first difference met."""

    name: str
    rows: int = 0
    identical: int = 0
    first: Example | None = None

    @property
    def rate(self) -> float:
        return self.identical / self.rows if self.rows else 1.0


@dataclass
class Agreement:
    """All features of a feature set over all rows compared so far."""

    features: list[FeatureAgreement]
    rows: int = 0
    identical_rows: int = 0
    differing: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, names: Sequence[str]) -> Agreement:
        return cls([FeatureAgreement(name) for name in names])

    def compare(
        self, moments: Sequence[str], served: np.ndarray, recomputed: np.ndarray, comparable: np.ndarray | None = None
    ) -> None:
        """Add rows.

        Args:
            moments: what each row is called, (n,).
            served, recomputed: float32, shape (n, features). Bits are compared, so that 0 is not -0; but missing is
                missing, whichever of the many NaNs says it.
            comparable: bool, the same shape: where a difference would be a fault; default: everywhere.

        Raises:
            ValueError: for matrices of other shapes or types.
        """
        shape = (len(moments), len(self.features))
        for matrix in (served, recomputed):
            if matrix.shape != shape or matrix.dtype != np.float32:
                raise ValueError(f"expected float32 {shape}, got {matrix.dtype} {matrix.shape}")
        same = served.view(np.uint32) == recomputed.view(np.uint32)
        same |= np.isnan(served) & np.isnan(recomputed)
        if comparable is None:
            comparable = np.ones(shape, bool)
        differs = comparable & ~same
        self.rows += len(moments)
        self.identical_rows += int((~differs.any(axis=1)).sum())
        counted = zip(self.features, comparable.sum(axis=0).tolist(), differs.sum(axis=0).tolist(), strict=True)
        for j, (feature, rows, differing) in enumerate(counted):
            feature.rows += rows
            feature.identical += rows - differing
            if differing and feature.first is None:
                i = int(np.argmax(differs[:, j]))
                feature.first = Example(moments[i], float(served[i, j]), float(recomputed[i, j]))
                self.differing.append(feature.name)
