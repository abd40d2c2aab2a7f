"""The online engine against the conformance vectors and against the naive oracle."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from returnml.features.vector import assemble
from returnml.features.windows import DAY_US, Window, floor_day
from returnml.store.backend import Mark, read_published, write_mark
from returnml.store.live import LiveStore
from returnml.store.live_state import LiveState
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.reading.online import OnlineFeatures
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.oracle import Event, Moment, group_aggregates
from returnml_tests.shared import SHARED
from returnml_tests.store.streams import OF_COLUMN, WINDOWS, feature_set, warehouse

T0 = floor_day(int(datetime(2024, 10, 21, tzinfo=UTC).timestamp() * 1_000_000))
FEATURES = feature_set()


def answers(raw, group, window, line=0):
    column = {o: raw[f"{group}_events_value_{o}_{window}"][line] for o in OF_COLUMN}
    return {"count": raw[f"{group}_events_count_{window}"][line], **column}


def conformance():
    file = SHARED / "conformance" / "windows.json"
    if not file.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no conformance vectors at {file}"))]
    return [pytest.param(case, id=case["name"].replace(" ", "_")) for case in json.loads(file.read_text())]


def apply_live(store, rows, batch):
    """Rows of ``core.events`` after the published generation, so many in a batch."""
    with store.writing() as transaction:
        generation = store.open(read_published(transaction), FEATURES, is_verified=False)
        state = LiveState(transaction, generation)
        for n, (seq, at_us, value, key, other) in enumerate(rows, 1):
            state.add(("core.events", {"value": value, "key": key, "other": other}), at_us)
            if n % batch == 0:
                state.flush()
            write_mark(transaction, Mark(seq, at_us))
        state.flush()


@pytest.mark.parametrize("share", [1, 0.5, 0], ids=["generation", "both", "live"])
@pytest.mark.parametrize("case", conformance())
def test_conformance_vectors(case, share, tmp_path, make_backend):
    for n, moment in enumerate(case["moments"]):
        rows = [(e["seq"], e["known_at"], e["value"], "a", "b") for e in case["events"] if e["seq"] <= moment["mark"]]
        held = rows[: int(len(rows) * share)]
        cutoff = held[-1][1] + 1 if held else min([moment["requested_at"], *(e["known_at"] for e in case["events"])])
        store = make_backend(tmp_path / str(n))
        publish_generation(warehouse(held), [FEATURES], cutoff, store)
        apply_live(store, rows[len(held) :], batch=7)
        online = OnlineFeatures(FEATURES, LiveStore(store, FEATURES))
        raw = online.vectors({"key": ["a"], "other": ["b"]}, moment["requested_at"]).raw()
        for group in ("k", "pair"):
            for window in WINDOWS:
                assert answers(raw, group, window) == moment["windows"][window], (moment, window)
            assert raw[f"{group}_events_since_last_us"] == [moment["us_since_last"]]


SLOT_US = 300_000_000
OFFSETS = st.one_of(
    st.integers(-400, 0).map(lambda days: days * DAY_US),
    st.tuples(st.integers(-400, 0), st.integers(-2, 2)).map(lambda d: d[0] * DAY_US + d[1]),
    st.tuples(st.integers(-320, 2), st.integers(-1, 1)).map(lambda d: d[0] * SLOT_US + d[1]),
    st.integers(-2 * DAY_US, 2),
)
VALUES = st.one_of(st.none(), st.integers(-3, 3), st.integers(-(2**40) + 1, 2**40 - 1))
KEYS = (st.sampled_from(["a", "b", "é", None]), st.sampled_from(["x", "y" * 600, None]))
EDGES = st.builds(
    lambda window, slots, off: slots * SLOT_US + off - Window.parse(window).length_us,
    st.sampled_from(["24h", "24h", "1h", "5m"]),
    st.sampled_from([0, 0, -1, 1]),
    st.integers(-1, 1),
)


@st.composite
def histories(draw):
    """A cut-off and events, some of them where windows of minutes and hours start that end in the cut-off's slot."""
    cutoff = draw(OFFSETS)
    near = EDGES.map(lambda edge: (T0 + cutoff) // SLOT_US * SLOT_US - T0 + edge)
    events = draw(st.lists(st.tuples(OFFSETS, VALUES, *KEYS), max_size=15))
    return cutoff, events + draw(st.lists(st.tuples(near, VALUES, *KEYS), max_size=10))


LATER = st.one_of(
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 2 * DAY_US),
    st.integers(0, 300).map(lambda n: n * SLOT_US),
    st.integers(0, 40 * DAY_US),
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), later=LATER, batch=st.sampled_from([None, 1, 3, 100]))
def test_equals_the_naive_oracle(history, later, batch, tmp_path_factory, make_backend):
    """``batch``: what is known from the cut-off on is in the live part, so many in a batch; None: it is not visible."""
    cutoff, events = history
    rows = [
        (seq, T0 + offset, value, key, other)
        for seq, (offset, value, key, other) in enumerate(sorted(events, key=lambda e: e[0]))
    ]
    cutoff_us = T0 + cutoff
    after = [row for row in rows if row[1] >= cutoff_us] if batch else []
    until_us = after[-1][1] + 1 if after else cutoff_us
    requested_at_us = until_us + later
    store = make_backend(tmp_path_factory.mktemp("store"))
    publish_generation(warehouse(rows), [FEATURES], cutoff_us, store)
    apply_live(store, after, batch)
    lines = [(k, o) for k in ("a", "b", "é", None, "unknown") for o in ("x", "y" * 600, None)]
    order = {"key": [k for k, _ in lines], "other": [o for _, o in lines]}
    vectors = OnlineFeatures(FEATURES, LiveStore(store, FEATURES)).vectors(order, requested_at_us)
    assert vectors.requested_at_us == requested_at_us
    raw = vectors.raw()
    streams = {"events": [Event(seq, at, {"key": k, "other": o}, {"value": v}) for seq, at, v, k, o in rows]}
    for i, (key, other) in enumerate(lines):
        moment = Moment(i, requested_at_us, until_us, until_us, {"key": key, "other": other})
        for group in FEATURES.groups:
            expected = group_aggregates(group, streams, moment)
            assert {name: raw[name][i] for name in expected} == expected
    as_float = {name: np.array([np.nan if v is None else float(v) for v in values]) for name, values in raw.items()}
    assert vectors.matrix.tobytes() == assemble(FEATURES, as_float).tobytes()


def test_a_moment_is_never_before_what_it_sees(tmp_path):
    online = OnlineFeatures(FEATURES, publish_generation(warehouse([]), [FEATURES], T0, LmdbBackend(tmp_path)))
    order = {"key": ["a"], "other": ["b"]}
    assert [online.vectors(order, T0 + later).requested_at_us for later in (-5, 0, 5)] == [T0, T0, T0 + 5]


def test_an_absent_column_is_refused(tmp_path):
    online = OnlineFeatures(FEATURES, publish_generation(warehouse([]), [FEATURES], T0, LmdbBackend(tmp_path)))
    with pytest.raises(KeyError, match="other"):
        online.vectors({"key": ["a"]}, T0)
