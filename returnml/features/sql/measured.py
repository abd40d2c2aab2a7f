"""What has to be known of the data before a plan can be written.

Belongs here: the facts. The queries that ask for them are in ``measuring``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from returnml.features.declarations import KeyGroup, Operation, Stream
from returnml.features.sql.hops import HOPS, Hop
from returnml.features.sql.measures import Bound, Measure, measure_of

NOMINAL_DAYS = (date(2025, 1, 1), date(2025, 1, 31))
NOMINAL_EVENTS = 10_000_000
NOMINAL_KEYS = 100_000


@dataclass(frozen=True)
class Extent:
    """First and last day of a spine's instants: requested, and of the ends of what is visible."""

    requested: tuple[date, date]
    events: tuple[date, date]
    derived: tuple[date, date]

    def until(self, stream: Stream) -> tuple[date, date]:
        return self.derived if stream.is_derived else self.events


@dataclass(frozen=True)
class Moments:
    """A spine as a whole.

    Attributes:
        extent: None where the spine is empty.
        has_one_end: whether what is visible of events and of derived streams ends at the same instant, for every moment.
        events_aligned, derived_aligned: hops in which that instant lies in the same step as ``requested_at``, for every
            moment.
        cardinalities: the number of values of each key column that a group of several keys has. Others are not counted:
            to count costs a pass, and there are at most ``rows``.
    """

    rows: int
    extent: Extent | None
    has_one_end: bool
    events_aligned: tuple[Hop, ...]
    derived_aligned: tuple[Hop, ...]
    cardinalities: Mapping[str, int]


Interval = tuple[date, date]
"""First day, and the day after the last."""


@dataclass(frozen=True)
class Measured:
    """Everything that a plan depends on besides the declarations.

    Attributes:
        tiles: by the name of each group that is read from its stored tiles, the days that are read.
        bounds: on every total over the events that are read.
        tile_bounds: by the names in ``tiles``: on window values that are differences of stored totals plus a head.
    """

    moments: Moments
    tiles: Mapping[str, tuple[Interval, ...]]
    bounds: Mapping[Measure, Bound]
    tile_bounds: Mapping[str, Mapping[Measure, Bound]]


def nominal(groups: Sequence[KeyGroup]) -> Measured:
    """What would be measured of a shop of some size whose values fill their declared bits: to show a plan without data.

    The groups are read from the streams, and every moment sees all that was known when it was requested.
    """
    days = NOMINAL_DAYS
    keys = dict.fromkeys((k for g in groups if len(g.keys) > 1 for k in g.keys), NOMINAL_KEYS)
    bounds = {}
    for group in groups:
        for aggregation in group.aggregations:
            if aggregation.operation.is_invertible:
                bounds[measure_of(aggregation)] = _nominal_bound(aggregation.stream, measure_of(aggregation))
    moments = Moments(NOMINAL_EVENTS, Extent(days, days, days), True, HOPS, HOPS, keys)
    return Measured(moments, {}, bounds, {})


def _nominal_bound(stream: Stream, measure: Measure) -> Bound:
    if measure.operation is Operation.COUNT:
        return Bound(NOMINAL_EVENTS, is_signed=False)
    largest = (1 << stream.columns[measure.column or ""]) - 1
    is_square = measure.operation is Operation.SUM_OF_SQUARES
    return Bound(NOMINAL_EVENTS * (largest * largest if is_square else largest), is_signed=not is_square)
