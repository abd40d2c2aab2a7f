"""Every feature of a set with families belongs to one of them, by declaration; else the declaration is refused by name."""

from dataclasses import replace

import pytest

from returnml.features.declarations import Aggregation, Derived, InputKind, KeyGroup, Operation, RequestInput
from returnml.features.families import Claim, Family, FamilyError
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.sets.shop import ORDERS, RETURNS, count, ratio
from returnml.features.windows import Window

WINDOWS = (Window.parse("30d"),)
DEVICE = KeyGroup("device", ("device",), (Aggregation(RETURNS, Operation.COUNT, None, WINDOWS),))
FAMILIES = (Family("seen", "what was seen"), Family("pieces", "how many pieces"))
PIECES = RequestInput("quantity", InputKind.INTEGER, "Pieces.", "quantity", family="pieces")


def declared(*derived: Derived, groups=(), request=(PIECES,), families=FAMILIES) -> FeatureSet:
    return FeatureSet("toy", 1, request, (), groups, derived, families)


def test_the_rule():
    """What a declaration names itself; else its group's; else what all inputs share."""
    group = KeyGroup("device", ("device",), (count(ORDERS, "30d"), count(RETURNS, "30d", family="pieces")), family="seen")
    found = declared(
        Derived("twice_seen", ("device_orders_count_30d",), lambda n: n + n),
        Derived("per_order", ("device_returns_count_30d", "device_orders_count_30d"), ratio, family="seen"),
        groups=(group,),
    )
    assert found.family_of == {
        "quantity": "pieces",
        "device_orders_count_30d": "seen",
        "device_returns_count_30d": "pieces",
        "twice_seen": "seen",
        "per_order": "seen",
    }


def test_what_a_feature_belongs_to_does_not_follow_from_its_name():
    """``customer_returns_of_the_day`` is of the time if it says so."""
    extra = RequestInput("customer_returns_of_the_day", InputKind.HOUR_OF_DAY, "Hour.", family="time")
    assert replace(ORDER_LINE, request=(*ORDER_LINE.request, extra)).family_of[extra.name] == "time"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"groups": (*ORDER_LINE.groups, DEVICE)},
            "feature set order_line: feature 'device_returns_count_30d' belongs to no family",
        ),
        (
            {"request": (*ORDER_LINE.request, RequestInput("customer_returns_today", InputKind.HOUR_OF_DAY, ""))},
            "feature 'customer_returns_today' belongs to no family: declare one with it, of several_sizes, ",
        ),
        (
            {
                "derived": (
                    *ORDER_LINE.derived,
                    Derived("mixed", ("customer_orders_count_30d", "customer_returns_count_30d"), ratio),
                )
            },
            r"feature 'mixed' belongs to no family \(its inputs share none: customer_orders_count_30d: customer_pace; "
            "customer_returns_count_30d: customer_returns",
        ),
        (
            {"request": (*ORDER_LINE.request, RequestInput("x", InputKind.HOUR_OF_DAY, "", family="tide"))},
            "'x' names the family 'tide', which is not declared",
        ),
        ({"families": (*ORDER_LINE.families, Family("tide", "the tide"))}, "no feature belongs to the family 'tide'"),
        (
            {"families": (*ORDER_LINE.families[:-1], replace(ORDER_LINE.families[-1], claims=(Claim("moon", 1.0),)))},
            "family 'time' claims something of 'moon', which is no feature",
        ),
        (
            {"families": (*ORDER_LINE.families, replace(ORDER_LINE.families[-1], text="other"))},
            "two families are called 'time'",
        ),
    ],
)
def test_a_declaration_that_cannot_be_explained_is_refused_by_name(change: dict, message: str):
    with pytest.raises(FamilyError, match=message):
        replace(ORDER_LINE, **change)


def test_families_are_words_and_no_part_of_the_hash():
    reworded = tuple(replace(family, text=f"{family.text}!") for family in ORDER_LINE.families)
    moved = (replace(ORDER_LINE.groups[0], family="customer_pace"), *ORDER_LINE.groups[1:])
    other = replace(ORDER_LINE, families=reworded, groups=moved)
    assert other.family_of != ORDER_LINE.family_of
    assert other.hash == ORDER_LINE.hash == replace(ORDER_LINE, families=()).hash


def test_a_set_that_is_not_explained_needs_none():
    assert declared(request=(replace(PIECES, family=None),), families=()).family_of == {}
