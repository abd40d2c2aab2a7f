"""Every rule of the validator once, on the smallest event that breaks it."""

import msgspec
import pytest

from returnml.ledger.events import AnyEvent
from returnml.ledger.validator import KnownLine, Link, Verdict, WaitingReturn, validate

NOW_US = 1_750_000_000_000_000  # 2025-06-15T15:06:40Z
ORDER = {
    "type": "order", "event_id": "e1", "occurred_at": "2025-06-15T15:00:00Z", "order_id": "o1", "customer_id": "c1",
    "currency": "EUR", "lines": [{"line_id": "l1", "article_id": "a1", "quantity": 2, "unit_price_cents": 4999}],
}  # fmt: skip
RETURN = {
    "type": "return", "event_id": "e2", "occurred_at": "2025-06-15T15:00:00Z", "return_id": "r1", "quantity": 1,
    "refund_cents": 4999, "currency": "EUR", "line_id": "known",
}  # fmt: skip
INSPECTION = {
    "type": "inspection", "event_id": "e3", "occurred_at": "2025-06-15T15:00:00Z", "inspection_id": "i2", "return_id": "r0",
    "verdict": "worn",
}  # fmt: skip


class Known:
    """One line of three pieces with one returned (by return r0, inspected as i0); returns that wait for line l1."""

    def __init__(self, currency=None, waiting=()):
        self.currency = currency
        self._waiting = waiting

    def waiting(self, line_id):
        return self._waiting if line_id == "l1" else ()

    def line(self, line_id):
        return KnownLine(1_749_000_000_000_000, 3, 1) if line_id == "known" else None

    def has_return(self, return_id):
        return return_id == "r0"

    def has_inspection(self, inspection_id):
        return inspection_id == "i0"


def judge(event, known=None, **changes) -> Verdict:
    return validate(msgspec.convert({**event, **changes}, AnyEvent), known or Known(), NOW_US)


def line(**changes):
    return [{**ORDER["lines"][0], **changes}]


@pytest.mark.parametrize("event", [ORDER, RETURN, INSPECTION], ids=["order", "return", "inspection"])
def test_good_events_are_accepted(event):
    assert judge(event) == Verdict()


@pytest.mark.parametrize(
    ("event", "changes", "rule", "field"),
    [
        (ORDER, {"schema_version": 2}, "unknown_schema_version", "schema_version"),
        (ORDER, {"occurred_at": "2025-06-15T15:11:41Z"}, "time_in_future", "occurred_at"),
        (ORDER, {"occurred_at": "1989-12-31T00:00:00Z"}, "time_too_early", "occurred_at"),
        (ORDER, {"customer_id": " "}, "customer_id_missing", "customer_id"),
        (ORDER, {"lines": line(article_id="\t")}, "article_id_missing", "lines[0].article_id"),
        (RETURN, {"return_id": " "}, "return_id_missing", "return_id"),
        (RETURN, {"line_id": None, "customer_id": " ", "article_id": "a1"}, "unknown_order_line", "line_id"),
        (INSPECTION, {"inspection_id": " "}, "inspection_id_missing", "inspection_id"),
        (ORDER, {"lines": line(line_id="known")}, "duplicate_id", "lines[0].line_id"),
        (ORDER, {"lines": line() + line()}, "duplicate_id", "lines[1].line_id"),
        (ORDER, {"lines": line(quantity=0)}, "quantity_not_positive", "lines[0].quantity"),
        (ORDER, {"lines": line(unit_price_cents=0)}, "unit_price_not_positive", "lines[0].unit_price_cents"),
        (ORDER, {"lines": line(list_price_cents=-1)}, "list_price_negative", "lines[0].list_price_cents"),
        (ORDER, {"lines": line(quantity=1 << 24)}, "quantity_too_large", "lines[0].quantity"),
        (ORDER, {"lines": line(unit_price_cents=1 << 36)}, "line_value_too_large", "lines[0].unit_price_cents"),
        (RETURN, {"return_id": "r0"}, "duplicate_id", "return_id"),
        (RETURN, {"quantity": 0}, "quantity_not_positive", "quantity"),
        (RETURN, {"refund_cents": -1}, "refund_negative", "refund_cents"),
        (RETURN, {"quantity": 1 << 24}, "quantity_too_large", "quantity"),
        (RETURN, {"refund_cents": 1 << 36}, "refund_too_large", "refund_cents"),
        (RETURN, {"line_id": None}, "unknown_order_line", "line_id"),
        (RETURN, {"line_id": " ", "customer_id": "c"}, "unknown_order_line", "line_id"),
        (RETURN, {"occurred_at": "2025-06-01T00:00:00Z"}, "return_before_order", "occurred_at"),
        (RETURN, {"quantity": 3}, "return_larger_than_order", "quantity"),
        (INSPECTION, {"inspection_id": "i0"}, "duplicate_id", "inspection_id"),
        (INSPECTION, {"return_id": "r9"}, "unknown_return", "return_id"),
        (INSPECTION, {"verdict": "fine"}, "verdict_unknown", "verdict"),
    ],
)
def test_each_rule(event, changes, rule, field):
    verdict = judge(event, **changes)
    assert (verdict.is_accepted, verdict.rule, verdict.field) == (False, rule, field)
    assert verdict.message


def test_the_limits_themselves_are_accepted():
    assert judge(ORDER, occurred_at="2025-06-15T15:11:40Z").is_accepted
    assert judge(ORDER, lines=line(quantity=(1 << 24) - 1, unit_price_cents=1)).is_accepted
    assert judge(RETURN, quantity=2).is_accepted


def test_an_orphan_that_names_its_keys_is_accepted_and_marked():
    assert judge(RETURN, line_id="x", customer_id="c", article_id="a") == Verdict(is_orphan=True)
    assert judge(RETURN, line_id=None, customer_id="c", article_id="a") == Verdict(is_orphan=True)


def test_a_return_that_names_its_line_alone_waits_for_it():
    assert judge(RETURN, line_id="x") == judge(RETURN, line_id="x", customer_id="c") == Verdict(is_orphan=True)


def test_an_order_links_the_returns_that_waited_first_come_first_served():
    ordered_us = 1_749_999_600_000_000
    waiting = [
        WaitingReturn("r9", ordered_us - 1, 1, 0, None, False),
        WaitingReturn("r3", ordered_us, 1, 0, None, False),
        WaitingReturn("r2", ordered_us, 2, 0, None, True),
        WaitingReturn("r1", ordered_us, 1, 0, None, False),
    ]
    assert judge(ORDER, Known(waiting=waiting)) == Verdict(
        links=(
            Link("r1", "l1"),
            Link("r2", "l1", "return_larger_than_order"),
            Link("r3", "l1"),
            Link("r9", "l1", "return_before_order"),
        )
    )
    assert judge(ORDER, Known(waiting=waiting), lines=line(quantity=0)).links == ()


@pytest.mark.parametrize(("event", "rule"), [(ORDER, "currency_differs"), (RETURN, "currency_differs"), (INSPECTION, None)])
def test_amounts_in_another_currency_than_the_shops_are_refused(event, rule):
    verdict = judge(event, Known("USD"))
    assert (verdict.rule, verdict.field) == (rule, rule and "currency")
    assert judge(event, Known("EUR")).is_accepted


@pytest.mark.parametrize(
    "broken", [{"lines": []}, {"colour": "red"}, {"occurred_at": "2025-06-15T15:00:00"}, {"currency": "euro"}, {"event_id": ""}]
)
def test_malformed_events_are_no_events(broken):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**ORDER, **broken}, AnyEvent)
