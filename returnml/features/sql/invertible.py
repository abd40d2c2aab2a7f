"""Invertible windows (count, sum, sum of squares) and ``since_last``, compiled to SQL.

The method, for windows that move in one hop (days, or slots of five minutes): per key and step one tile; prefix sums over
a key's tiles give P(start of a step) at any step, read once per (key, step) that a moment needs, for all window edges
at once; within the last step a running sum over its events gives the head. The value of a window is ``P(x) - P(edge)``
with ``x = min(requested_at, until)``; it is 0 where ``x <= edge``. All frames are constant. Several measures travel
packed in one integer (``packing``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from returnml.features.declarations import Aggregate, KeyGroup, Operation, Stream
from returnml.features.sql.dialect import (
    WIDE,
    Hop,
    quote,
    wide_literal,
)
from returnml.features.sql.packing import (
    Limb,
    Measure,
)
from returnml.features.sql.spine import (
    SPINE,
    events_table,
    tiles_table,
)
from returnml.features.windows import Window


@dataclass(frozen=True)
class StreamClass:
    """Streams whose visible part ends at the same instant.

    Attributes:
        name: part of the names of the tables made for it.
        streams: its streams.
        until: spine column with the end of what is visible, microseconds.
        aligned: hops in which that instant lies in the same step as ``requested_at``, for every moment of the spine.
    """

    name: str
    streams: tuple[Stream, ...]
    until: str
    aligned: tuple[Hop, ...]


@dataclass(frozen=True)
class GroupPlan:
    """What is computed for one group, class and hop: the key expression, the limbs, the streams asked for ``since_last``."""

    group: KeyGroup
    stream_class: StreamClass
    hop: Hop
    key: str
    limbs: tuple[Limb, ...]
    last_streams: tuple[str, ...]
    is_from_tiles: bool = False

    @property
    def result(self) -> str:
        return _name(self, "windows")

    @property
    def is_aligned(self) -> bool:
        return self.hop in self.stream_class.aligned

    def combined(self, at_us: str) -> str:
        """Key and step of an instant as one integer."""
        return self.hop.combined(self.key, self.hop.number(at_us))

    def probed(self) -> list[str]:
        """The (key, step) integers that a moment reads."""
        return [self.combined(at) for at in (["t"] if self.is_aligned else ["t", self.stream_class.until])]


def edge_column(limb: Limb, window: Window) -> str:
    return f"{limb.column}_{window.name}"


def window_statements(plan: GroupPlan) -> list[str]:
    """The statements that leave ``plan.result``: ``mid`` and per limb and window one packed value, ``last_<stream>``.

    Moments whose key has a null part have no row. Only days have stored tiles (``is_from_tiles``).
    """
    edges = _edges_from_tiles(plan) if plan.is_from_tiles else _edges(plan)
    return [edges, _head(plan), _result(plan), f"drop table {_name(plan, 'edges')}", f"drop table {_name(plan, 'head')}"]


def _name(plan: GroupPlan, part: str) -> str:
    return f"pit_{part}_{plan.group.name}_{plan.stream_class.name}_{plan.hop.name}"


def _events(plan: GroupPlan, stream: Stream, extra: Sequence[str] = ()) -> str:
    """Events of one stream: ``kd``, one packed integer per limb, ``last_<stream>`` for each stream asked for it."""
    values = {f.measure: f.measure.per_event() for limb in plan.limbs for f in limb.fields if f.measure.stream == stream.name}
    columns = [f"{plan.combined('at_us')} as kd", *extra]
    columns += [f"{limb.pack(values)} as {limb.column}" for limb in plan.limbs]
    columns += [f"{'at_us' if s == stream.name else 'null::BIGINT'} as last_{s}" for s in plan.last_streams]
    return f"select {', '.join(columns)} from {events_table(stream)} where {plan.key} is not null"


def _zeros(plan: GroupPlan) -> list[str]:
    return [wide_literal(0) for _ in plan.limbs] + ["null::BIGINT" for _ in plan.last_streams]


def _edges(plan: GroupPlan) -> str:
    """Per (key, step) that a moment reads: totals before that step and before each window's first step."""
    probes = [
        f"select {kd}, {', '.join([*_zeros(plan), 'true'])} from {SPINE} where {plan.key} is not null" for kd in plan.probed()
    ]
    limbs = [limb.column for limb in plan.limbs]
    lasts = [f"last_{s}" for s in plan.last_streams]
    events = [f"select *, false as is_probe from ({_events(plan, s)})" for s in plan.stream_class.streams]
    tiles = ", ".join(
        ["kd", *(f"sum({p}) as {p}" for p in limbs), *(f"max({m}) as {m}" for m in lasts), "bool_or(is_probe) as is_probe"]
    )
    running = ", ".join(
        [
            "kd, is_probe",
            *(f"{p} as own_{p}, sum({p}) over so_far as {p}" for p in limbs),
            *(f"max({m}) over before as {m}" for m in lasts),
        ]
    )
    far, reach = _before_windows(plan)
    frames = _frames(plan, reach)
    near = [f"{p} - own_{p} as near_{p}" for p in limbs]
    select = ", ".join(["kd", "is_probe", *near, *lasts, *far])
    return f"""create or replace temp table {_name(plan, "edges")} as
with events as ({" union all ".join([*events, *probes])}),
tiles as (select {tiles} from events group by kd),
running as (select {running} from tiles
  window so_far as (partition by {plan.hop.key_of("kd")} order by kd rows unbounded preceding),
         before as (partition by {plan.hop.key_of("kd")} order by kd rows between unbounded preceding and 1 preceding)),
edges as (select {select} from running{" window " + frames if frames else ""})
select * exclude (is_probe) from edges where is_probe"""


def _edges_from_tiles(plan: GroupPlan) -> str:
    """As ``_edges``, from stored running totals: a moment's (key, day) reads the key's last tile before each edge."""
    values = {f.measure: f"{quote(f.measure.name)}::{WIDE}" for limb in plan.limbs for f in limb.fields}
    packed = [f"{limb.pack(values)} as {limb.column}" for limb in plan.limbs]
    lasts = [f"last_{s}" for s in plan.last_streams]
    nothing = [f"null::{WIDE}" for _ in plan.limbs] + ["null::BIGINT" for _ in lasts]
    probes = " union ".join(f"select distinct {kd} as kd from {SPINE} where {plan.key} is not null" for kd in plan.probed())
    near = [f"coalesce(last_value({limb.column} ignore nulls) over before, 0) as near_{limb.column}" for limb in plan.limbs]
    near += [f"last_value({column} ignore nulls) over before as {column}" for column in lasts]
    far, reach = _before_windows(plan, " ignore nulls")
    frames = _frames(plan, {"before": 1} | reach)
    return f"""create or replace temp table {_name(plan, "edges")} as
with probes as ({probes}),
timeline as (select {", ".join(["kd", *packed, *lasts])}, false as is_probe from {tiles_table(plan.group)}
  union all select {", ".join(["kd", *nothing, "true"])} from probes),
edges as (select {", ".join(["kd", "is_probe", *near, *far])} from timeline window {frames})
select * exclude (is_probe) from edges where is_probe"""


def _before_windows(plan: GroupPlan, nulls: str = "") -> tuple[list[str], dict[str, int]]:
    """Each limb's total before each window's first step; and by frame how many steps before a moment's own it ends."""
    far: list[str] = []
    reach: dict[str, int] = {}
    for limb in plan.limbs:
        for w in limb.windows:
            if w.length_us is not None:
                far.append(f"coalesce(last_value({limb.column}{nulls}) over before_{w.name}, 0) as {edge_column(limb, w)}")
                reach[f"before_{w.name}"] = w.length_us // plan.hop.us + 1
    return far, reach


def _frames(plan: GroupPlan, reach: dict[str, int]) -> str:
    return ", ".join(
        f"{name} as (partition by {plan.hop.key_of('kd')} order by kd range between unbounded preceding and {steps} preceding)"
        for name, steps in reach.items()
    )


def _head(plan: GroupPlan) -> str:
    """Per moment: the running sums over the visible part of its last visible step.

    At the same instant a moment comes before an event: only what was known before it counts.
    """
    c = plan.stream_class
    order = ("at_us * 2 + 1 as o", "null::BIGINT as mid")
    needed = f"kd in (select kd from {_name(plan, 'edges')})"
    events = [f"select * from ({_events(plan, s, order)}) where {needed}" for s in c.streams]
    moments = (
        f"select {plan.combined(c.until)}, {c.until} * 2, mid, {', '.join(_zeros(plan))} "
        f"from {SPINE} where {plan.key} is not null"
    )
    sums = [f"sum({limb.column}) over so_far as {limb.column}" for limb in plan.limbs]
    lasts = [f"max(last_{s}) over so_far as last_{s}" for s in plan.last_streams]
    return f"""create or replace temp table {_name(plan, "head")} as
with timeline as ({" union all ".join([*events, moments])}),
running as (select kd, mid, {", ".join([*sums, *lasts])} from timeline
  window so_far as (partition by kd order by o rows unbounded preceding))
select * from running where mid is not null"""


def _result(plan: GroupPlan) -> str:
    """Heads and edges put together: one packed window value per limb and window."""
    c = plan.stream_class
    far_alias = "n" if plan.is_aligned else "f"
    values = []
    for limb in plan.limbs:
        for w in limb.windows:
            total = f"h.{limb.column} + n.near_{limb.column}"
            if w.length_us is not None:
                total += f" - {far_alias}.{edge_column(limb, w)}"
                if not plan.is_aligned:
                    edge = f"{plan.hop.number('s.t')} * {plan.hop.us} - {w.length_us}"
                    total = f"case when s.{c.until} <= {edge} then 0 else {total} end"
            values.append(f"{total} as {edge_column(limb, w)}")
    values += [f"coalesce(h.last_{s}, n.last_{s}) as last_{s}" for s in plan.last_streams]
    joins = f"join {_name(plan, 'edges')} as n on n.kd = h.kd"
    if not plan.is_aligned:
        far_key = plan.hop.combined(plan.hop.key_of("h.kd"), plan.hop.number("s.t"))
        joins += f" join {SPINE} as s on s.mid = h.mid join {_name(plan, 'edges')} as f on f.kd = {far_key}"
    return (
        f"create or replace temp table {plan.result} as select h.mid, {', '.join(values)} from {_name(plan, 'head')} as h {joins}"
    )


def aggregate_expression(plan: GroupPlan, aggregate: Aggregate, alias: str) -> str:
    """The value of one aggregate, read from ``plan.result`` (as ``alias``) and the spine (as ``s``).

    Raises:
        KeyError: naming an aggregate that the plan does not compute.
    """
    a = aggregate.aggregation
    if a.operation is Operation.SINCE_LAST:
        return f"s.t - {alias}.last_{a.stream.name}"
    measure = Measure(a.stream.name, a.operation, a.column)
    for limb in plan.limbs:
        for field in limb.fields:
            if field.measure == measure:
                return limb.unpack(f"{alias}.{edge_column(limb, aggregate.window)}", field)
    raise KeyError(f"{aggregate.name}: not planned")
