"""The order of reasons, and when their words are true."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from returnml.features.sets.customer import CUSTOMER
from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.sets.shop import PRIOR_RETURN_RATE, smoothed_rate
from returnml.reasons.kernel import Explainer, ExplainerDocument, ExplainerError, Paths
from returnml.reasons.ordering import MAX_REASONS, Reasoner

NAMES = ORDER_LINE.outputs


def stumps(**added: float) -> Explainer:
    """Each feature adds its value where it exceeds 1, and takes as much away where it does not."""
    n = len(added)
    feature = [NAMES.index(name) for name in added]
    paths = Paths(
        1,
        np.array([feature * 2], "<i2").tobytes(),
        np.array([[1.0] * n + [-np.inf] * n], "<f4").tobytes(),
        np.array([[np.inf] * n + [1.0] * n], "<f4").tobytes(),
        np.array([[0] * n + [1] * n], "u1").tobytes(),
        np.full((1, 2 * n), 0.5).tobytes(),
        np.array([*added.values(), *(-v for v in added.values())]).tobytes(),
    )
    return Explainer(msgspec.msgpack.encode(ExplainerDocument(len(NAMES), 0.0, (paths,))))


def row(**values: float) -> np.ndarray:
    x = np.zeros((1, len(NAMES)), np.float32)
    for name, value in values.items():
        x[0, NAMES.index(name)] = value
    return x


def test_reasons_are_the_families_that_raise_most():
    explainer = stumps(
        quantity=0.3, customer_return_rate_90d=0.2, customer_returns_count_365d=0.25, has_voucher=0.5, hour_of_day=0.1
    )
    x = row(quantity=2, customer_return_rate_90d=3, customer_returns_count_365d=7)
    [found] = Reasoner(explainer, ORDER_LINE).reasons(x)
    assert [(r.family, pytest.approx(r.contribution), r.feature, r.value) for r in found] == [
        ("customer_returns", 0.45, "customer_returns_count_365d", 7.0),
        ("pieces", 0.3, "quantity", 2.0),
    ]
    assert found[0].text == "what they sent back before"


def test_a_reason_whose_words_would_not_be_true_is_not_given():
    """A line without a voucher may be riskier for that; 'ordered with a voucher' would be a lie."""
    reasoner = Reasoner(stumps(has_voucher=-0.5, hour_of_day=0.1), ORDER_LINE)
    assert [r.family for r in reasoner.reasons(row(has_voucher=0, hour_of_day=12))[0]] == ["time"]


def test_a_missing_value_is_none_and_there_are_at_most_so_many():
    many = ["hour_of_day", "basket_count", "line_value_cents", "price_against_list", "article_orders_count_1d"]
    reasoner = Reasoner(stumps(**{name: -0.1 * (i + 1) for i, name in enumerate(many)}), ORDER_LINE)
    x = row()
    x[0, NAMES.index("price_against_list")] = np.nan
    [found] = reasoner.reasons(x)
    assert [r.family for r in found] == ["article_sales", "price", "order_value", "order_size"]
    assert len(found) == MAX_REASONS
    assert (found[1].feature, found[1].value) == ("price_against_list", None)


def test_what_was_sent_back_is_told_by_outcomes_where_there_are_no_returns():
    """A shop with flags counts no return: more than the prior's share came back of a customer, or nobody knows."""
    reasoner = Reasoner(stumps(hour_of_day=0.1, customer_return_rate_lifetime=-0.5), ORDER_LINE)
    for rate, families in (
        (np.nextafter(np.float32(PRIOR_RETURN_RATE), np.float32(1)), ["customer_returns", "time"]),
        (PRIOR_RETURN_RATE, ["time"]),  # nothing is known
        (1 / 40, ["time"]),  # 30 lines, none of which came back
    ):
        x = row(hour_of_day=12, customer_return_rate_lifetime=rate)
        assert [r.family for r in reasoner.reasons(x)[0]] == families
    x = row(hour_of_day=12, customer_return_rate_lifetime=1 / 40, customer_returns_count_365d=1)
    assert [r.family for r in reasoner.reasons(x)[0]] == ["customer_returns", "time"]


@given(lines=st.integers(0, 10_000), returned=st.integers(0, 10_000))
def test_a_rate_above_the_prior_says_that_something_came_back(lines: int, returned: int):
    returned = min(returned, lines)
    rate = np.float32(smoothed_rate(float(returned), float(lines)))
    assert returned > 0 or not rate > PRIOR_RETURN_RATE


def test_an_explainer_of_another_width_is_refused():
    with pytest.raises(ExplainerError, match=f"takes {len(ORDER_LINE.outputs)} inputs"):
        Reasoner(stumps(quantity=0.1), CUSTOMER)


def test_a_feature_set_without_families_gives_no_reasons():
    explainer = Explainer(msgspec.msgpack.encode(ExplainerDocument(len(CUSTOMER.outputs), 0.0, ())))
    with pytest.raises(ExplainerError, match="feature set customer declares no families"):
        Reasoner(explainer, CUSTOMER)
