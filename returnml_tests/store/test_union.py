"""Several feature sets from one generation: each reads its own, and a reader of another one is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from returnml.clock import VirtualClock
from returnml.features.declarations import Aggregation, KeyGroup, Operation
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.shop import (
    ORDERS,
    RETURNS,
)
from returnml.features.windows import DAY_US, MINUTE_US, Window
from returnml.privacy.customers import AS_DELIVERED
from returnml.store.event_writer import EventWriter
from returnml.store.generation import open_current
from returnml.store.generation_manifest import (
    MANIFEST_FILE,
    StoreError,
    read_manifest,
    store_ready,
)
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.reading.online import OnlineFeatures
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.oracle import Moment, group_aggregates
from returnml_tests.store.live_shop import FEATURES, T0, Ledger, event

NOW = T0 + DAY_US // 2


def of(stream, operation, column, *windows):
    return Aggregation(stream, Operation(operation), column, tuple(Window.parse(w) for w in windows))


CHALLENGER = FeatureSet(
    "challenger",
    1,
    (),
    (),
    (
        # Its windows of minutes cut the champion's days of this group into finer tiles.
        KeyGroup(
            "pair", ("customer_id", "size"), (of(ORDERS, "count", None, "1h"), of(ORDERS, "distinct", "payment_method", "2d"))
        ),
        KeyGroup("size", ("size",), (of(ORDERS, "count", None, "7d"), of(RETURNS, "distinct", "refund_cents", "3d"))),
        KeyGroup(
            "customer",
            ("customer_id",),
            (
                of(RETURNS, "sum", "refund_cents", "90d"),
                of(ORDERS, "max", "quantity", "7d", "lifetime"),
                of(ORDERS, "distinct", "line_value_cents", "3d", "7d"),
                of(ORDERS, "since_last", None, "lifetime"),
            ),
        ),
    ),
    (),
)
ORDER = {"customer_id": ["a", "a", "b", "new", None], "size": ["M", None, "M", "S", "S"]}


def placed(n, customer="a", quantity=1, price=100, at=NOW):
    line = {"line_id": f"l{n}", "article_id": "x", "size": "M", "quantity": quantity, "unit_price_cents": price}
    order = {"order_id": f"o{n}", "customer_id": customer, "payment_method": ("card", "invoice")[n % 2], "lines": [line]}
    return event({"type": "order", "event_id": f"e{n}", **order}, at)


def sent_back(n):
    body = {"type": "return", "event_id": f"f{n}", "return_id": f"r{n}", "line_id": f"l{n}", "quantity": 1, "refund_cents": 7}
    return event(body, NOW)


@pytest.fixture
def backend(tmp_path):
    return LmdbBackend(tmp_path / "store")


def publish(backend, feature_sets, cut_off_us, ledger_seq=0):
    return publish_generation(Ledger(backend.root).warehouse(), feature_sets, cut_off_us, backend, ledger_seq=ledger_seq)


def assert_equals_the_oracle(online, ledger, now):
    vectors = online.vectors(ORDER, now)
    raw, at = vectors.raw(), vectors.requested_at_us
    for i, (customer, size) in enumerate(zip(*ORDER.values(), strict=True)):
        moment = Moment(i, at, at, at, {"customer_id": customer, "size": size})
        for group in online.feature_set.groups:
            expected = group_aggregates(group, ledger.streams(), moment)
            assert {name: raw[name][i] for name in expected} == expected


ORDERED = st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(1, 3), st.integers(0, 9), st.integers(0, 90))


@settings(max_examples=25)
@given(
    events=st.lists(ORDERED, min_size=1, max_size=12),
    published=st.integers(0, 12),
    in_turn=st.permutations([FEATURES, CHALLENGER]),
)
def test_each_feature_set_reads_its_own_from_generation_and_live_part(events, published, in_turn, tmp_path_factory):
    backend = LmdbBackend(tmp_path_factory.mktemp("union") / "store")
    publish(backend, in_turn, T0)
    clock = VirtualClock(T0)
    writer = EventWriter(backend, FEATURES, clock, AS_DELIVERED)
    for n, (customer, quantity, price, half_days, minutes) in enumerate(events):
        clock.advance_to(clock.now_us() + half_days * DAY_US // 2 + minutes * MINUTE_US)
        writer.submit([placed(n, customer, quantity, price, clock.now_us()), *([sent_back(n)] if n % 2 else [])])
        if n == published:
            cut_off = clock.now_us() + DAY_US // 3
            publish(backend, in_turn, cut_off, Ledger(backend.root).last_seq(cut_off))
    ledger = Ledger(backend.root)
    live = LiveStore(backend, FEATURES)
    for feature_set in in_turn:
        assert_equals_the_oracle(OnlineFeatures(feature_set, live), ledger, clock.now_us())
    writer.close()


def test_readers_and_writers_go_by_what_the_generation_holds(backend):
    """The same open reader and writer, while the challenger comes and goes."""
    publish(backend, [FEATURES], T0)
    live = LiveStore(backend, FEATURES)
    champion, challenger = OnlineFeatures(FEATURES, live), OnlineFeatures(CHALLENGER, live)
    writer = EventWriter(backend, FEATURES, VirtualClock(NOW), AS_DELIVERED)
    writer.submit([placed(1), placed(2, "b", 2)])
    for n, feature_sets in enumerate([[FEATURES], [FEATURES, CHALLENGER], [CHALLENGER, FEATURES], [FEATURES]]):
        published = publish(backend, feature_sets, T0 + 1 + n)
        writer.submit([placed(10 + n, "a", n + 1), sent_back(1) if n == 2 else placed(20 + n)])
        ledger = Ledger(backend.root)
        assert_equals_the_oracle(champion, ledger, NOW)
        assert store_ready(published.manifest, CHALLENGER.hash) == (CHALLENGER in feature_sets)
        if CHALLENGER in feature_sets:
            assert_equals_the_oracle(challenger, ledger, NOW)
        else:
            with pytest.raises(StoreError, match=rf"serves the feature sets live {FEATURES.hash[:12]}; .* challenger"):
                challenger.vectors(ORDER, NOW)
    writer.close()


def test_a_manifest_says_all_that_a_reader_needs(backend):
    published = publish(backend, [FEATURES, CHALLENGER], T0)
    manifest = read_manifest(published.path)
    assert [(s.name, s.version, s.hash) for s in manifest.feature_sets] == [
        ("live", 1, FEATURES.hash),
        ("challenger", 1, CHALLENGER.hash),
    ]
    assert manifest.layout.hash == manifest.layout_hash
    held = {group.group.name: group for group in manifest.layout.groups}
    assert list(held) == ["customer", "pair", "velocity", "size"]
    assert {w.name for w in held["customer"].windows} == {"5m", "1d", "25h", "3d", "7d", "90d", "lifetime"}


def test_rows_that_are_laid_out_otherwise_are_refused(backend):
    folder = publish(backend, [FEATURES], T0).path
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["groups"][0]["aggregations"].reverse()
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="its rows are laid out as"):
        open_current(backend.root, FEATURES)
