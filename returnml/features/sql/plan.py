"""From declarations and what was measured to a plan: pure, the same arguments give the same plan.

Belongs here: which steps there are and their order. How each is written stands in the modules beside.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from returnml.features.declarations import BasketAggregate, KeyGroup, Operation, RequestInput, Stream
from returnml.features.sql.encoding import (
    MERGEABLE,
    SPINE,
    encode_events,
    encode_keys,
    encode_spine,
    encode_tiles,
    events_condition,
    events_table,
    group_key,
    tiles_table,
)
from returnml.features.sql.engine import Engine
from returnml.features.sql.hops import DAY, HOPS, Hop
from returnml.features.sql.invertible import GroupWindows, StreamClass, aggregate_expression, window_steps
from returnml.features.sql.measured import Measured, Moments
from returnml.features.sql.measures import measures_of
from returnml.features.sql.mergeable import mergeable_expression, mergeable_step, mergeable_table, mergeables
from returnml.features.sql.packing import plan_limbs
from returnml.features.sql.request_expressions import (
    basket_expression,
    basket_step,
    basket_table,
    carried_columns,
    request_expression,
)
from returnml.features.sql.steps import Drop, Plan, Step


@dataclass(frozen=True)
class Inputs:
    """What is asked of one spine.

    Attributes:
        spine: a table, view or parenthesised query, see ``encoding``.
        request, basket: inputs of the scored row and of its request, where they are asked for.
        carried: further columns of the spine to keep.
    """

    spine: str
    groups: tuple[KeyGroup, ...]
    request: tuple[RequestInput, ...] = ()
    basket: tuple[BasketAggregate, ...] = ()
    carried: tuple[str, ...] = ()

    @property
    def key_columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(k for g in self.groups for k in g.keys))

    @property
    def combined_columns(self) -> tuple[str, ...]:
        """Key columns of groups that have several."""
        return tuple(dict.fromkeys(k for g in self.groups if len(g.keys) > 1 for k in g.keys))

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """Those that the encoded spine has as they are."""
        return tuple(dict.fromkeys((*carried_columns(self.request, self.basket), *self.carried)))

    @property
    def streams(self) -> tuple[Stream, ...]:
        return tuple({s.name: s for g in self.groups for s in g.streams}.values())


@dataclass
class _Draft:
    steps: list[Step] = field(default_factory=list)
    expressions: dict[str, str] = field(default_factory=dict)
    results: list[str] = field(default_factory=list)


def plan(inputs: Inputs, measured: Measured, engine: Engine) -> Plan:
    """Everything that computes every raw value of every moment.

    Raises:
        OverflowError: naming the group and the measure whose totals need more bits than the engine has.
    """
    draft, moments = _Draft(), measured.moments
    draft.steps += [encode_keys(engine, inputs.spine, column) for column in inputs.key_columns]
    draft.steps.append(encode_spine(engine, inputs.spine, inputs.key_columns, inputs.kept_columns))
    draft.steps += [_events(inputs, measured, engine, stream) for stream in inputs.streams]
    for group in inputs.groups:
        key = group_key(engine, group, moments.cardinalities)
        is_tiled = group.name in measured.tiles
        if is_tiled:
            draft.steps.append(encode_tiles(engine, group, key, measured.tiles[group.name]))
        for own in _stream_classes(group, moments):
            for hop in HOPS:
                _windows(draft, measured, engine, group, own, hop, key)
            _mergeables(draft, engine, group, own, key)
        if is_tiled:
            draft.steps.append(Drop(tiles_table(group)))
    draft.steps += [Drop(events_table(stream)) for stream in inputs.streams]
    windows = {a.name: draft.expressions[a.name] for group in inputs.groups for a in group.aggregates()}
    rows = {request.name: request_expression(engine, request) for request in inputs.request}
    for by in dict.fromkeys(b.by for b in inputs.basket):
        draft.steps.append(basket_step(engine, inputs.basket, by))
        draft.results.append(basket_table(by))
    rows |= {basket.name: basket_expression(engine, basket) for basket in inputs.basket}
    return Plan(engine, SPINE, tuple(draft.steps), rows | windows, tuple(draft.results))


def _events(inputs: Inputs, measured: Measured, engine: Engine, stream: Stream) -> Step:
    own = [group for group in inputs.groups if stream.name in {s.name for s in group.streams}]
    keys = tuple(dict.fromkeys(k for group in own for k in group.keys))
    columns = dict.fromkeys(a.column for g in own for a in g.aggregations if a.stream.name == stream.name and a.column)
    condition = events_condition(engine, stream, inputs.groups, measured.tiles, measured.moments.extent)
    return encode_events(engine, stream, keys, columns, condition)


def _stream_classes(group: KeyGroup, moments: Moments) -> list[StreamClass]:
    """One class where events and derived streams end at the same instant for every moment, else two."""
    if moments.has_one_end:
        return [StreamClass("all", group.streams, "xe", moments.events_aligned)]
    events = StreamClass("events", tuple(s for s in group.streams if not s.is_derived), "xe", moments.events_aligned)
    derived = StreamClass("derived", tuple(s for s in group.streams if s.is_derived), "xd", moments.derived_aligned)
    return [c for c in (events, derived) if c.streams]


def _windows(
    draft: _Draft, measured: Measured, engine: Engine, group: KeyGroup, stream_class: StreamClass, hop: Hop, key: str
) -> None:
    """One group's invertible aggregates and ``since_last`` over one class of streams and the windows of one hop."""
    names = {s.name for s in stream_class.streams}
    aggregates = [
        a
        for a in group.aggregates()
        if a.aggregation.stream.name in names and a.window.hop_us == hop.us and a.aggregation.operation not in MERGEABLE
    ]
    if not aggregates:
        return
    is_from_tiles = hop is DAY and group.name in measured.tiles
    bounds = measured.tile_bounds[group.name] if is_from_tiles else measured.bounds
    measures = {m: w for m, w in measures_of(group, hop).items() if m.stream in names}
    lasts = dict.fromkeys(a.aggregation.stream.name for a in aggregates if a.aggregation.operation is Operation.SINCE_LAST)
    try:
        limbs = plan_limbs(measures, bounds, engine.limb_bits)
    except OverflowError as error:
        raise OverflowError(f"group {group.name!r}: {error}") from error
    own = GroupWindows(engine, group, stream_class, hop, key, limbs, tuple(lasts), is_from_tiles)
    draft.steps += window_steps(own)
    draft.results.append(own.result)
    draft.expressions |= {a.name: aggregate_expression(own, a) for a in aggregates}


def _mergeables(draft: _Draft, engine: Engine, group: KeyGroup, own: StreamClass, key: str) -> None:
    for stream in own.streams:
        wanted = set(mergeables(group, stream))
        if wanted:
            table = mergeable_table(group, stream)
            draft.steps.append(mergeable_step(engine, group, stream, own, key))
            draft.results.append(table)
            draft.expressions |= {
                a.name: mergeable_expression(engine, a, table) for a in group.aggregates() if a.aggregation in wanted
            }
