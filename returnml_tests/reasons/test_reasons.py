"""Families and the order of reasons."""

import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from returnml.features.declarations import InputKind, RequestInput
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.customer import CUSTOMER
from returnml.features.sets.order_line import ORDER_LINE
from returnml.reasons.families import ORDER_LINE_FAMILIES, FamilyError, families_of, family_numbers
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


def test_every_feature_has_exactly_one_family_and_every_family_features():
    assert set(family_numbers(NAMES, families_of(ORDER_LINE))) == set(range(len(ORDER_LINE_FAMILIES)))
    assert all(f.claim is None or (re.fullmatch(r"[a-z_0-9]+", f.claim[0]) and f.claim[0] in NAMES) for f in ORDER_LINE_FAMILIES)
    assert len({f.name for f in ORDER_LINE_FAMILIES}) == len({f.text for f in ORDER_LINE_FAMILIES}) == len(ORDER_LINE_FAMILIES)


def test_a_feature_of_no_family_or_of_two_is_named():
    with pytest.raises(FamilyError, match="'moon_phase' belongs to no family"):
        family_numbers(["quantity", "moon_phase"], ORDER_LINE_FAMILIES)
    twice = replace(ORDER_LINE_FAMILIES[0], pattern="quantity")
    with pytest.raises(FamilyError, match="'quantity' belongs to several_sizes and pieces"):
        family_numbers(["quantity"], [*ORDER_LINE_FAMILIES[1:], twice][::-1])
    with pytest.raises(FamilyError, match="no reason families are declared for feature set 'customer'"):
        families_of(CUSTOMER)


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


def test_a_claim_about_what_is_no_feature_is_refused():
    alone = FeatureSet("order_line", 1, (RequestInput("article_size_x", InputKind.INTEGER, "", "quantity"),), (), (), ())
    with pytest.raises(FamilyError, match="size_runs_wrong: its claim is about 'article_size_returns_count_365d'"):
        Reasoner(Explainer(msgspec.msgpack.encode(ExplainerDocument(1, 0.0, ()))), alone)


def test_an_explainer_of_another_width_is_refused():
    with pytest.raises(ExplainerError, match=f"takes {len(ORDER_LINE.outputs)} inputs"):
        Reasoner(stumps(quantity=0.1), CUSTOMER)
