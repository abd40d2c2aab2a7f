"""What several feature sets need together."""

import pytest

from returnml.features.declarations import Aggregation, KeyGroup, Operation, Stream
from returnml.features.feature_set import FeatureSet
from returnml.features.union import holder, union
from returnml.features.windows import Window
from returnml.tasks.live_sets import FEATURE_SETS, TILE_GROUPS

ORDERS = Stream("orders", "core.orders", {"quantity": 20})
PRICED = Stream("orders", "core.orders", {"quantity": 20, "price": 30})


def windows(*names):
    return tuple(Window.parse(name) for name in names)


def declared(*groups):
    return FeatureSet("toy", 1, (), (), groups, ())


def group(name, keys, *aggregations):
    return KeyGroup(name, keys, aggregations)


COUNT_7D = Aggregation(ORDERS, Operation.COUNT, None, windows("7d"))
COUNT_30D = Aggregation(ORDERS, Operation.COUNT, None, windows("30d", "7d"), is_feature=False)
PRICE = Aggregation(PRICED, Operation.MAX, "price", windows("1d"))
ONE = declared(group("customer", ("customer_id",), COUNT_7D), group("article", ("article_id",), COUNT_7D))
TWO = declared(group("brand", ("brand",), PRICE), group("customer", ("customer_id",), PRICE, COUNT_30D))


def test_groups_of_one_name_have_the_measures_and_windows_of_both():
    found = union([ONE, TWO])
    assert [g.name for g in found] == ["customer", "article", "brand"]
    assert [(a.operation, a.column, a.windows) for a in found[0].aggregations] == [
        (Operation.COUNT, None, windows("7d", "30d")),
        (Operation.MAX, "price", windows("1d")),
    ]
    assert {a.stream for g in found for a in g.aggregations} == {PRICED}


def test_a_group_is_held_by_the_one_that_has_all_of_it():
    both = union([ONE, TWO])
    for feature_set in (ONE, TWO):
        for own in feature_set.groups:
            assert holder(own, both) in both
    more = group("customer", ("customer_id",), Aggregation(ORDERS, Operation.COUNT, None, windows("90d")))
    assert holder(more, both) is more


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (group("customer", ("customer_id", "size"), COUNT_7D), "group 'customer' is declared with the keys"),
        (
            group("x", ("x",), Aggregation(Stream("orders", "core.returns", {}), Operation.COUNT, None, windows("7d"))),
            r"stream 'orders' is declared as core\.orders and as core\.returns",
        ),
        (
            group(
                "x", ("x",), Aggregation(Stream("orders", "core.orders", {"quantity": 21}), Operation.COUNT, None, windows("7d"))
            ),
            "column 'quantity' is declared with 20 and 21 bits",
        ),
    ],
    ids=["keys", "table", "bits"],
)
def test_contradicting_declarations_are_refused(other, message):
    with pytest.raises(ValueError, match=message):
        union([ONE, declared(other)])


def test_the_live_feature_sets_fit_together():
    for feature_set in FEATURE_SETS:
        for own in feature_set.groups:
            assert holder(own, TILE_GROUPS) in TILE_GROUPS
