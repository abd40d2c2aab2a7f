"""The online engine: the vectors of an order's lines from a generation and the request itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from returnml.features.declarations import FeatureSet
from returnml.features.program import VectorProgram
from returnml.store.generation import Generation
from returnml.store.plan import ReadPlan
from returnml.store.request import RequestPlan

Columns = Mapping[str, Sequence[Any]]
"""The lines of one order by column: those of ``contracts.columns.ORDERS`` and ``line_value_cents``; None is null."""


@dataclass(frozen=True)
class Vectors:
    """What an order's lines look like to the model.

    Attributes:
        matrix: float32, shape (lines, outputs), C order; missing is NaN.
        requested_at_us: the moment they are of.
    """

    matrix: np.ndarray
    requested_at_us: int
    _request: list[list[int | None]]
    _words: np.ndarray
    _plan: ReadPlan

    def raw(self) -> dict[str, list[int | None]]:
        """The exact raw inputs by name, in ``FeatureSet.raw_names`` order: one integer or None for each line."""
        names = self._plan.feature_set.raw_names
        values: list[list[int | None]] = [*self._request, *self._plan.exact(self._words, self.requested_at_us)]
        return dict(zip(names, values, strict=True))


class OnlineFeatures:
    """Computes vectors from one generation. Not for use by two threads at once.

    Raises:
        StoreError: if the generation is of other declarations.
    """

    def __init__(self, feature_set: FeatureSet, generation: Generation) -> None:
        self.feature_set = feature_set
        self.generation = generation
        self._plan = ReadPlan(feature_set, generation.manifest)
        self._request = RequestPlan(feature_set)
        self._program = VectorProgram(feature_set)
        self._first_aggregate = len(feature_set.request) + len(feature_set.basket)

    def moment_us(self, now_us: int) -> int:
        """``requested_at`` of a request that arrives now: never before the cut-off, whose events it sees."""
        return max(now_us, self.generation.cut_off_us)

    def vectors(self, order: Columns, requested_at_us: int) -> Vectors:
        """The vectors of an order's lines.

        Args:
            order: its lines by column.
            requested_at_us: the moment, not before the generation's cut-off (see ``moment_us``).

        Raises:
            KeyError: naming a column that is absent. Missing is not zero.
            ValueError: for a moment before the cut-off.
        """
        if requested_at_us < self.generation.cut_off_us:
            raise ValueError(f"requested_at {requested_at_us} lies before the cut-off {self.generation.cut_off_us}")
        request = self._request.values(order, requested_at_us)
        words = self._plan.words(order, requested_at_us, self.generation.read)
        work = self._program.matrix(words.shape[1])
        first = self._first_aggregate
        if first:
            work[:first] = np.array(request, np.float64)
        self._plan.fill(work[first : first + len(self.feature_set.aggregates)], words, requested_at_us)
        return Vectors(self._program.run(work), requested_at_us, request, words, self._plan)
