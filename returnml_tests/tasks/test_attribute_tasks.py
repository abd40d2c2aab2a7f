"""The checkout's task in a shop with attributes: features, request, facts and reasons; every other task is as it was."""

from __future__ import annotations

import msgspec
import pytest

from returnml.features.sets.order_line import ORDER_LINE
from returnml.settings import Settings, SettingsError
from returnml.tasks import CHECKOUT
from returnml.tasks.attribute_tasks import reasons_of_use
from returnml.tasks.live_sets import FEATURE_SETS, TILE_GROUPS, live_feature_sets, live_tile_groups
from returnml.tasks.registry import refuse_unknown, task_named, tasks
from returnml.tasks.serving_needs import serving_problems

DECLARED = {
    "order": {"channel": {"type": "category", "says": "where the order came from"}},
    "customer": {
        "birth_date": {"type": "date", "protected": True, "use": True, "because": "sizes change with age"},
        "gender": {"type": "category", "protected": True},
    },
    "article": {"weight": {"type": "number", "decimals": 2}},
    "line": {"note": {"type": "text"}, "gift": {"type": "flag"}},
}


def declared(entities: dict = DECLARED) -> Settings:
    return msgspec.convert({"attributes": entities}, Settings)


def test_each_type_has_its_features_and_a_protected_one_has_none():
    feature_set = task_named(CHECKOUT, declared().shop_attributes).feature_set
    added = [name for name in feature_set.outputs if name not in ORDER_LINE.outputs]
    assert added == [
        "article_weight",
        "customer_birth_date_days",
        "line_gift",
        "line_note_present",
        "order_channel_orders_count_30d",
        "order_channel_orders_count_365d",
        "order_channel_returns_count_30d",
        "order_channel_returns_count_365d",
        "order_channel_return_rate_90d",
        "order_channel_return_rate_lifetime",
    ]
    assert feature_set.hash != ORDER_LINE.hash
    assert {feature_set.family_of[name] for name in added if name.startswith("order_channel")} == {"order_channel"}
    words = {family.name: family.text for family in feature_set.families}
    assert (words["order_channel"], words["article_weight"]) == ("where the order came from", "the article's weight")


def test_the_service_can_compute_them_and_the_request_carries_them():
    task = task_named(CHECKOUT, declared().shop_attributes)
    assert serving_problems(task) == []
    assert task.spine.request is not None
    assert task.spine.request.categories == ("order_channel",)
    assert {"article_weight", "customer_birth_date", "line_gift", "line_note"} <= set(task.spine.request.integers)


def test_without_attributes_and_in_other_tasks_everything_is_the_same_object():
    own = declared().shop_attributes
    assert task_named(CHECKOUT).feature_set is ORDER_LINE
    assert [name for name, task in tasks(own).items() if task is not tasks()[name]] == [CHECKOUT]
    assert live_feature_sets(()) == FEATURE_SETS
    assert live_tile_groups(()) == TILE_GROUPS
    assert [g.name for g in live_tile_groups(own) if g not in TILE_GROUPS] == ["order_channel"]


def test_protected_attributes_are_facts_and_a_used_one_says_why():
    task = task_named(CHECKOUT, declared().shop_attributes)
    assert [a.name for a in task.protected] == ["customer_birth_date", "customer_gender"]
    assert "o.customer_gender" in task.facts
    assert reasons_of_use(task) == {"protected attribute customer_birth_date": "sizes change with age"}
    only = declared({"customer": {"gender": {"type": "category", "protected": True}}}).shop_attributes
    unused = task_named(CHECKOUT, only)
    assert unused.feature_set is ORDER_LINE
    assert [a.name for a in unused.protected] == ["customer_gender"]
    assert reasons_of_use(unused) == {}


@pytest.mark.parametrize(
    ("entities", "said"),
    [
        ({"customer": {"brand": {"type": "category"}}}, "attributes.customer.brand: customer_brand is a feature already"),
        ({"order": {"a": {"type": "flag", "says": "x"}, "b": {"type": "flag", "says": "x"}}}, "two families are called 'x'"),
        ({"customer": {"id": {"type": "category"}}}, "customer_id is a column already"),
    ],
)
def test_an_attribute_of_which_no_features_can_be_made_is_refused(entities, said):
    with pytest.raises(SettingsError, match=said):
        refuse_unknown(declared(entities))
