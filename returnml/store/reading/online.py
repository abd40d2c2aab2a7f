"""The online engine: the vectors of an order's lines from generation, live part and the request itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from returnml.features.feature_set import FeatureSet
from returnml.features.program import VectorProgram
from returnml.features.request_inputs import (
    OrderColumns,
    RequestPlan,
)
from returnml.store.backend import Published, Snapshot, read_generation
from returnml.store.live import LiveStore
from returnml.store.reading.read_plan import (
    OtherPromise,
    ReadPlan,
)


@dataclass(frozen=True)
class Vectors:
    """What an order's lines look like to the model.

    Attributes:
        matrix: float32, shape (lines, outputs), C order; missing is NaN.
        requested_at_us: the moment they are of.
        seen: the generation and the mark that they were read at.
    """

    matrix: np.ndarray
    requested_at_us: int
    seen: Snapshot
    _request: list[list[int | None]]
    _words: np.ndarray
    _plan: ReadPlan

    def raw(self) -> dict[str, list[int | None]]:
        """The exact raw inputs by name, in ``FeatureSet.raw_names`` order: one integer or None for each line."""
        names = self._plan.feature_set.raw_names
        values: list[list[int | None]] = [*self._request, *self._plan.exact(self._words, self.requested_at_us)]
        return dict(zip(names, values, strict=True))

    def raw_bytes(self) -> bytes:
        """The words behind the aggregates, for the log: little-endian int64; ``plan.exact_values`` reads them."""
        return self._words.tobytes()


class OnlineFeatures:
    """Computes vectors. Not for use by two threads at once.

    Args:
        source: the store as it is; or one generation alone, without what came after it.

    Raises:
        StoreError: if a generation does not serve the feature set.
    """

    def __init__(self, feature_set: FeatureSet, source: LiveStore | Published) -> None:
        self.feature_set = feature_set
        self._read: Any = source.read if isinstance(source, LiveStore) else partial(read_generation, source)
        self._plan = None if isinstance(source, LiveStore) else ReadPlan(feature_set, source.manifest)
        self._request = RequestPlan(feature_set)
        self._program = VectorProgram(feature_set)
        self._first_aggregate = len(feature_set.request) + len(feature_set.basket)

    def vectors(self, order: OrderColumns, now_us: int) -> Vectors:
        """The vectors of an order's lines, of the moment ``Snapshot.moment_us(now_us)`` and of one snapshot.

        Args:
            order: its lines by column.
            now_us: the present.

        Raises:
            KeyError: naming a column that is absent. Missing is not zero.
            StoreError: while there is no good generation, or the one that there is does not serve the feature set.
        """
        plan, seen, words = self._words(order, now_us)
        requested_at_us = seen.moment_us(now_us)
        request = self._request.values(order, requested_at_us)
        work = self._program.matrix(words.shape[1])
        first = self._first_aggregate
        if first:
            work[:first] = request
        plan.fill(work[first : first + len(self.feature_set.aggregates)], words, requested_at_us)
        return Vectors(self._program.run(work), requested_at_us, seen, request, words, plan)

    def _words(self, order: OrderColumns, now_us: int) -> tuple[ReadPlan, Snapshot, np.ndarray]:
        """Read by the plan; a generation that holds other groups is read by a new one."""
        plan = self._plan
        while True:
            if plan is None:
                seen, _, _ = self._read([])
                plan = ReadPlan(self.feature_set, seen.generation.manifest)
            try:
                seen, words = plan.words(order, now_us, self._read)
            except OtherPromise as other:
                plan = ReadPlan(self.feature_set, other.manifest)
            else:
                self._plan = plan
                return plan, seen, words
