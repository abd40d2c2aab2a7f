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
from returnml.features.sql.encoding import SPINE, events_table, tiles_table
from returnml.features.sql.engine import Engine
from returnml.features.sql.hops import Hop
from returnml.features.sql.measures import Measure, measure_of
from returnml.features.sql.packing import Limb
from returnml.features.sql.steps import Drop, Materialise, Step, listed
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
class GroupWindows:
    """What is computed for one group, class and hop: the key expression, the limbs, the streams asked for ``since_last``.

    Attributes:
        is_from_tiles: whether totals are read from stored tiles; only days have any.
    """

    engine: Engine
    group: KeyGroup
    stream_class: StreamClass
    hop: Hop
    key: str
    limbs: tuple[Limb, ...]
    last_streams: tuple[str, ...]
    is_from_tiles: bool = False

    @property
    def result(self) -> str:
        return self.table("windows")

    @property
    def is_aligned(self) -> bool:
        return self.hop in self.stream_class.aligned

    @property
    def lasts(self) -> list[str]:
        return [f"last_{s}" for s in self.last_streams]

    def table(self, part: str) -> str:
        return f"pit_{part}_{self.group.name}_{self.stream_class.name}_{self.hop.name}"

    def combined(self, at_us: str) -> str:
        """Key and step of an instant as one integer."""
        return self.hop.combined(self.key, self.hop.number(self.engine, at_us))

    def probed(self) -> list[str]:
        """The (key, step) integers that a moment reads."""
        return [self.combined(at) for at in (["t"] if self.is_aligned else ["t", self.stream_class.until])]

    def nothing(self, total: str) -> list[str]:
        """The columns of a row that brings nothing: limbs, then last instants."""
        return [self.engine.cast(total, self.engine.wide) for _ in self.limbs] + [
            self.engine.as_integer("null") for _ in self.last_streams
        ]


def edge_column(limb: Limb, window: Window) -> str:
    return f"{limb.column}_{window.name}"


def window_steps(own: GroupWindows) -> list[Step]:
    """The steps that leave ``own.result``: ``mid`` and per limb and window one packed value, ``last_<stream>``.

    Moments whose key has a null part have no row.

    One key, two tiles, one window. The key ordered on Monday at 10:00, and on Tuesday at 9:00 and 11:00; a moment on Tuesday at
    10:00 and one on Wednesday ask for ``1d``, which begins at the midnight before the last one:

    >>> import duckdb
    >>> from returnml.features.declarations import Aggregation
    >>> from returnml.features.sql.duckdb import DUCKDB
    >>> from returnml.features.sql.hops import DAY
    >>> from returnml.features.sql.measures import Bound, measures_of
    >>> from returnml.features.sql.packing import plan_limbs
    >>> orders = Stream("orders", "core.orders", {})
    >>> count = Aggregation(orders, Operation.COUNT, None, (Window.parse("1d"),))
    >>> group = KeyGroup("customer", ("customer_id",), (count,))
    >>> limbs = plan_limbs(measures_of(group), {measure_of(count): Bound(3, is_signed=False)}, DUCKDB.limb_bits)
    >>> own = GroupWindows(DUCKDB, group, StreamClass("all", (orders,), "xe", (DAY,)), DAY, "k_customer_id", limbs, ())
    >>> con = duckdb.connect()
    >>> hour, monday = 3_600_000_000, 4 * 24
    >>> _ = con.execute("create table pit_events_orders as select unnest($1) as at_us, 0 as k_customer_id",
    ...     [[(monday + h) * hour for h in (10, 24 + 9, 24 + 11)]])
    >>> _ = con.execute("create table pit_spine as select unnest([0, 1]) as mid, unnest($1) as t, t as xe, 0 as k_customer_id",
    ...     [[(monday + h) * hour for h in (24 + 10, 48 + 10)]])
    >>> edges, head, result, *drops = window_steps(own)
    >>> for step in (edges, head, result):
    ...     _ = con.execute(step.sql(DUCKDB))

    Before Tuesday there was one order, before Wednesday three. Before the windows begin there was none, and one:

    >>> con.execute("select kd % 65536 - 4 as day, near_p0, p0_1d from pit_edges_customer_all_day order by kd").fetchall()
    [(1, 1, 0), (2, 3, 1)]

    On Tuesday before 10:00 there is one more; head + near - edge is the value of the window:

    >>> con.execute("select mid, p0 from pit_head_customer_all_day order by mid").fetchall()
    [(0, 1), (1, 0)]
    >>> con.execute("select * from pit_windows_customer_all_day order by mid").fetchall()
    [(0, 2), (1, 2)]
    """
    edges, head = own.table("edges"), own.table("head")
    return [
        Materialise(edges, _edges_from_tiles(own) if own.is_from_tiles else _edges(own)),
        Materialise(head, _head(own)),
        Materialise(own.result, _result(own)),
        Drop(edges),
        Drop(head),
    ]


def _per_event(engine: Engine, measure: Measure) -> str:
    """A measure's value for one event, as a wide integer; a null value adds nothing."""
    if measure.operation is Operation.COUNT:
        return engine.wide_literal(1)
    value = f"coalesce({engine.as_wide(engine.quote(f'v_{measure.column}'))}, 0)"
    return f"({value} * {value})" if measure.operation is Operation.SUM_OF_SQUARES else value


def _events(own: GroupWindows, stream: Stream, extra: Sequence[str] = ()) -> str:
    """Events of one stream: ``kd``, one packed integer per limb, ``last_<stream>`` for each stream asked for it."""
    engine = own.engine
    values = {
        f.measure: _per_event(engine, f.measure) for limb in own.limbs for f in limb.fields if f.measure.stream == stream.name
    }
    columns = [f"{own.combined('at_us')} as kd", *extra]
    columns += [f"{limb.pack(engine, values)} as {limb.column}" for limb in own.limbs]
    columns += [f"{'at_us' if s == stream.name else engine.as_integer('null')} as last_{s}" for s in own.last_streams]
    return f"select {listed(columns, 6)}\n    from {events_table(stream)} where {own.key} is not null"


def _edges(own: GroupWindows) -> str:
    """Per (key, step) that a moment reads: totals before that step and before each window's first step."""
    limbs = [limb.column for limb in own.limbs]
    probes = [
        f"select {kd}, {', '.join([*own.nothing('0'), 'true'])} from {SPINE} where {own.key} is not null" for kd in own.probed()
    ]
    events = [f"select *, false as is_probe from (\n    {_events(own, s)})" for s in own.stream_class.streams]
    tiles = [
        "kd",
        *(f"sum({p}) as {p}" for p in limbs),
        *(f"max({m}) as {m}" for m in own.lasts),
        "bool_or(is_probe) as is_probe",
    ]
    running = ["kd", "is_probe", *(f"{p} as own_{p}, sum({p}) over so_far as {p}" for p in limbs)]
    running += [f"max({m}) over before as {m}" for m in own.lasts]
    far, reach = _before_windows(own)
    frames = _frames(own, reach)
    columns = [*(f"near_{p}" for p in limbs), *own.lasts, *far]
    near = [f"{p} - own_{p} as near_{p}" for p in limbs]
    by_key = f"partition by {own.hop.key_of(own.engine, 'kd')} order by kd rows"
    return f"""with events as (
  {_union([*events, *probes])}),
tiles as (
  select {listed(tiles, 4)}
  from events group by kd),
running as (
  select {listed(running, 4)}
  from tiles
  window so_far as ({by_key} unbounded preceding),
    before as ({by_key} between unbounded preceding and 1 preceding)),
edges as (
  select {listed(["kd", "is_probe", *near, *own.lasts, *_as(far)], 4)}
  from running{frames})
select {", ".join(["kd", *columns])} from edges where is_probe"""


def _edges_from_tiles(own: GroupWindows) -> str:
    """As ``_edges``, from stored running totals: a moment's (key, day) reads the key's last tile before each edge."""
    engine = own.engine
    values = {f.measure: engine.cast(engine.quote(f.measure.name), engine.wide) for limb in own.limbs for f in limb.fields}
    packed = [f"{limb.pack(engine, values)} as {limb.column}" for limb in own.limbs]
    probes = [f"select distinct {kd} as kd from {SPINE} where {own.key} is not null" for kd in own.probed()]
    near = {f"near_{limb.column}": f"coalesce(last_value({limb.column} ignore nulls) over before, 0)" for limb in own.limbs} | {
        column: f"last_value({column} ignore nulls) over before" for column in own.lasts
    }
    far, reach = _before_windows(own, " ignore nulls")
    return f"""with probes as (
  {" union ".join(probes)}),
timeline as (
  select {listed(["kd", *packed, *own.lasts, "false as is_probe"], 4)}
  from {tiles_table(own.group)}
  union all
  select {", ".join(["kd", *own.nothing("null"), "true"])} from probes),
edges as (
  select {listed(["kd", "is_probe", *_as(near | far)], 4)}
  from timeline{_frames(own, {"before": 1} | reach)})
select {", ".join(["kd", *near, *far])} from edges where is_probe"""


def _before_windows(own: GroupWindows, nulls: str = "") -> tuple[dict[str, str], dict[str, int]]:
    """Each limb's total before each window's first step; and by frame how many steps before a moment's own it ends."""
    far: dict[str, str] = {}
    reach: dict[str, int] = {}
    for limb in own.limbs:
        for w in limb.windows:
            if w.length_us is not None:
                far[edge_column(limb, w)] = f"coalesce(last_value({limb.column}{nulls}) over before_{w.name}, 0)"
                reach[f"before_{w.name}"] = w.length_us // own.hop.us + 1
    return far, reach


def _frames(own: GroupWindows, reach: dict[str, int]) -> str:
    by_key = f"partition by {own.hop.key_of(own.engine, 'kd')} order by kd range between unbounded preceding"
    frames = [f"{name} as ({by_key} and {steps} preceding)" for name, steps in reach.items()]
    return "\n  window " + ",\n    ".join(frames) if frames else ""


def _head(own: GroupWindows) -> str:
    """Per moment: the running sums over the visible part of its last visible step.

    At the same instant a moment comes before an event: only what was known before it counts.
    """
    until = own.stream_class.until
    order = ("at_us * 2 + 1 as o", f"{own.engine.as_integer('null')} as mid")
    needed = f"kd in (select kd from {own.table('edges')})"
    events = [f"select * from (\n    {_events(own, s, order)}) where {needed}" for s in own.stream_class.streams]
    moments = (
        f"select {own.combined(until)}, {until} * 2, mid, {', '.join(own.nothing('0'))} from {SPINE} where {own.key} is not null"
    )
    sums = [f"sum({limb.column}) over so_far as {limb.column}" for limb in own.limbs]
    lasts = [f"max({m}) over so_far as {m}" for m in own.lasts]
    return f"""with timeline as (
  {_union([*events, moments])}),
running as (
  select {", ".join(["kd", "mid", *sums, *lasts])}
  from timeline
  window so_far as (partition by kd order by o rows unbounded preceding))
select * from running where mid is not null"""


def _result(own: GroupWindows) -> str:
    """Heads and edges put together: one packed window value per limb and window."""
    until = own.stream_class.until
    far_alias = "n" if own.is_aligned else "f"
    values = []
    for limb in own.limbs:
        for w in limb.windows:
            total = f"h.{limb.column} + n.near_{limb.column}"
            if w.length_us is not None:
                total += f" - {far_alias}.{edge_column(limb, w)}"
                if not own.is_aligned:
                    edge = f"{own.hop.number(own.engine, 's.t')} * {own.hop.us} - {w.length_us}"
                    total = f"case when s.{until} <= {edge} then 0 else {total} end"
            values.append(f"{total} as {edge_column(limb, w)}")
    values += [f"coalesce(h.{m}, n.{m}) as {m}" for m in own.lasts]
    edges = own.table("edges")
    joins = f"join {edges} as n on n.kd = h.kd"
    if not own.is_aligned:
        far_key = own.hop.combined(own.hop.key_of(own.engine, "h.kd"), own.hop.number(own.engine, "s.t"))
        joins += f"\njoin {SPINE} as s on s.mid = h.mid\njoin {edges} as f on f.kd = {far_key}"
    return f"select {listed(['h.mid', *values])}\nfrom {own.table('head')} as h\n{joins}"


def aggregate_expression(own: GroupWindows, aggregate: Aggregate) -> str:
    """The value of one aggregate, read from ``own.result`` and the spine (as ``s``).

    Raises:
        KeyError: naming an aggregate that is not computed here.
    """
    a = aggregate.aggregation
    if a.operation is Operation.SINCE_LAST:
        return f"s.t - {own.result}.last_{a.stream.name}"
    for limb in own.limbs:
        for field in limb.fields:
            if field.measure == measure_of(a):
                return limb.unpack(own.engine, f"{own.result}.{edge_column(limb, aggregate.window)}", field)
    raise KeyError(f"{aggregate.name}: not planned")


def _as(columns: dict[str, str]) -> list[str]:
    return [f"{expression} as {name}" for name, expression in columns.items()]


def _union(queries: Sequence[str]) -> str:
    return "\n  union all\n  ".join(queries)
