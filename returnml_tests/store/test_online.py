"""The online engine against the conformance vectors and against the naive oracle."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from returnml.features.vector import assemble
from returnml.features.windows import DAY_US, floor_day
from returnml.store.embedded import LmdbBackend
from returnml.store.online import OnlineFeatures
from returnml.warehouse.generation import publish_generation
from returnml_tests.oracle import Event, Moment, group_aggregates
from returnml_tests.store.streams import OF_COLUMN, WINDOWS, feature_set, shared_folder, warehouse

T0 = floor_day(int(datetime(2024, 10, 21, tzinfo=UTC).timestamp() * 1_000_000))
FEATURES = feature_set()


def answers(raw, group, window, line=0):
    column = {o: raw[f"{group}_events_value_{o}_{window}"][line] for o in OF_COLUMN}
    return {"count": raw[f"{group}_events_count_{window}"][line], **column}


def conformance():
    file = shared_folder() / "conformance" / "windows.json"
    if not file.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no conformance vectors at {file}"))]
    return [pytest.param(case, id=case["name"].replace(" ", "_")) for case in json.loads(file.read_text())]


@pytest.mark.parametrize("case", conformance())
def test_conformance_vectors(case, tmp_path):
    con = warehouse([(e["seq"], e["known_at"], e["value"], "a", "b") for e in case["events"]])
    known_at = {e["seq"]: e["known_at"] for e in case["events"]}
    for moment in case["moments"]:
        cutoff = known_at[moment["mark"]] + 1 if moment["mark"] else min([*known_at.values(), moment["requested_at"]])
        generation = publish_generation(con, [FEATURES], cutoff, LmdbBackend(tmp_path))
        order = {"key": ["a"], "other": ["b"]}
        raw = OnlineFeatures(FEATURES, generation).vectors(order, moment["requested_at"]).raw()
        for group in ("k", "pair"):
            for window in WINDOWS:
                assert answers(raw, group, window) == moment["windows"][window], (moment, window)
            assert raw[f"{group}_events_since_last_us"] == [moment["us_since_last"]]


OFFSETS = st.one_of(
    st.integers(-400, 0).map(lambda days: days * DAY_US),
    st.tuples(st.integers(-400, 0), st.integers(-2, 2)).map(lambda d: d[0] * DAY_US + d[1]),
    st.integers(-2 * DAY_US, 2),
)
VALUES = st.one_of(st.none(), st.integers(-3, 3), st.integers(-(2**40) + 1, 2**40 - 1))
EVENTS = st.lists(
    st.tuples(OFFSETS, VALUES, st.sampled_from(["a", "b", "é", None]), st.sampled_from(["x", "y" * 600, None])), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(events=EVENTS, cutoff=OFFSETS, later=st.one_of(st.integers(0, 3), st.integers(0, 40 * DAY_US)))
def test_equals_the_naive_oracle(events, cutoff, later, tmp_path_factory):
    rows = [
        (seq, T0 + offset, value, key, other)
        for seq, (offset, value, key, other) in enumerate(sorted(events, key=lambda e: e[0]))
    ]
    cutoff_us = T0 + cutoff
    requested_at_us = cutoff_us + later
    generation = publish_generation(warehouse(rows), [FEATURES], cutoff_us, LmdbBackend(tmp_path_factory.mktemp("store")))
    lines = [(k, o) for k in ("a", "b", "é", None, "unknown") for o in ("x", "y" * 600, None)]
    order = {"key": [k for k, _ in lines], "other": [o for _, o in lines]}
    vectors = OnlineFeatures(FEATURES, generation).vectors(order, requested_at_us)
    raw = vectors.raw()
    streams = {"events": [Event(seq, at, {"key": k, "other": o}, {"value": v}) for seq, at, v, k, o in rows]}
    for i, (key, other) in enumerate(lines):
        moment = Moment(i, requested_at_us, cutoff_us, cutoff_us, {"key": key, "other": other})
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
