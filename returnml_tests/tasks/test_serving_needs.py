"""What the service needs of a task is asked where tasks are declared, and named."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from returnml.features.declarations import BasketAggregate, InputKind, KeyGroup, Operation, RequestInput
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.sets.shop import EVENT_STREAMS, INSPECTIONS, KEY_COLUMNS, ORDERS, count
from returnml.ledger.events import OrderLine, OrderPlaced, ReturnReceived
from returnml.store.event_rows import order_rows, return_row
from returnml.tasks.declared import return_abuse, return_risk
from returnml.tasks.registry import tasks
from returnml.tasks.serving_needs import serving_problems
from returnml.tasks.spines import ORDER_REQUEST
from returnml_tests.serving import shop
from serving.scoring.scorer import order_columns
from serving.wire import Order


def problems(feature_set: FeatureSet) -> list[str]:
    return serving_problems(replace(return_risk.TASK, feature_set=feature_set, reason_table=None))


def test_every_declared_task_can_be_served():
    assert [serving_problems(task) for task in tasks().values()] == [[]] * len(tasks())


BY_DEVICE = KeyGroup("device", ("device",), (count(ORDERS, "30d"),))


def request(name: str, kind: InputKind, column: str | None = None) -> FeatureSet:
    return FeatureSet("toy", 1, (RequestInput(name, kind, "", column),), (), (BY_DEVICE,), ())


def basket(operation: Operation, column: str | None, *by: str) -> FeatureSet:
    return FeatureSet("toy", 1, (), (BasketAggregate("b", operation, "", column, by),), (BY_DEVICE,), ())


def group(keys: tuple[str, ...], stream=ORDERS) -> FeatureSet:
    return FeatureSet("toy", 1, (), (), (KeyGroup("g", keys, (count(stream, "30d"),)),), ())


@pytest.mark.parametrize(
    ("feature_set", "said"),
    [
        (FeatureSet("toy", 1, (), (), (), ()), "feature set toy has no key group"),
        (request("weight", InputKind.INTEGER, "weight_grams"), "request input 'weight': a request has no 'weight_grams'"),
        (request("device", InputKind.INTEGER, "device"), "request input 'device': 'device' of a request is a text"),
        (request("size", InputKind.LETTER_SIZE, "quantity"), "request input 'size': 'quantity' of a request is an integer"),
        (request("size", InputKind.PRESENT), "request input 'size': names no column"),
        (request("reason", InputKind.TEXT, "size"), "request input 'reason': text is read in batch only"),
        (request("age", InputKind.SINCE, "ordered_at"), "request input 'age': since is read in batch only"),
        (basket(Operation.SUM, "brand"), "basket aggregate 'b': 'brand' of a request is a text"),
        (basket(Operation.SUM, None), "basket aggregate 'b': names no column"),
        (basket(Operation.COUNT, None, "season"), "basket aggregate 'b': a request has no 'season'"),
        (group(("season",)), "key group 'g': a request has no 'season'"),
        (group(("voucher_code",)), "key group 'g': 'voucher_code' is no key that events carry"),
        (group(("quantity",)), "key group 'g': 'quantity' of a request is an integer"),
        (group(("device",), INSPECTIONS), "key group 'g': no event adds to core.inspections"),
    ],
)
def test_what_the_service_lacks_is_named(feature_set: FeatureSet, said: str):
    assert problems(feature_set)[0].startswith(said)


def test_what_a_request_and_events_bring_is_enough():
    assert problems(request("size", InputKind.PRESENT, "size")) == problems(basket(Operation.DISTINCT, "brand", "size")) == []
    assert problems(group(("device", "brand"))) == problems(request("hour", InputKind.HOUR_OF_DAY)) == []


def test_reasons_need_families():
    unexplained = replace(return_risk.TASK, feature_set=replace(ORDER_LINE, families=()))
    assert serving_problems(unexplained) == ["scores.reasons has reasons, feature set order_line declares no families"]


def test_what_is_computed_in_batch_only_may_read_anything():
    assert serving_problems(return_abuse.TASK) == []
    assert len(serving_problems(replace(return_abuse.TASK, spine=return_risk.TASK.spine))) > 5


def test_a_request_has_the_columns_that_are_declared():
    order = msgspec.convert(shop.order(), Order)
    columns = order_columns(order)
    assert {*columns} == {"order_id", "line_id", *ORDER_REQUEST.names}
    assert all(type(columns[name][0]) is int for name in ORDER_REQUEST.integers if columns[name][0] is not None)
    assert all(type(columns[name][0]) is str for name in ORDER_REQUEST.texts if columns[name][0] is not None)


def test_events_bring_what_their_streams_declare():
    placed = OrderPlaced(
        event_id="e", occurred_at=datetime(2024, 1, 1, tzinfo=UTC), order_id="o", customer_id="c", currency="EUR",
        lines=[OrderLine(line_id="l", article_id="a", quantity=1, unit_price_cents=5)],
    )  # fmt: skip
    [(order_row, line)] = order_rows(placed)
    came_back = ReturnReceived(
        event_id="f", occurred_at=datetime(2024, 1, 2, tzinfo=UTC), return_id="r", quantity=1, refund_cents=5, currency="EUR"
    )
    rows = dict([order_row, return_row(came_back, line)])
    for stream in EVENT_STREAMS:
        assert {*stream.columns, *stream.texts, *KEY_COLUMNS} <= {*rows[stream.table]}
    assert {*rows} == {stream.table for stream in EVENT_STREAMS}
