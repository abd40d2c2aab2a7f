"""Declaring attributes, and reading one sent value."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from returnml.attributes import (
    Attribute,
    AttributeType,
    Entity,
    read_value,
    sent_problem,
)
from returnml.settings import Settings, SettingsError, load_settings


def declared(**entities: dict) -> Settings:
    return msgspec.convert({"attributes": entities}, Settings)


def of(kind: AttributeType, decimals: int = 0) -> Attribute:
    return Attribute(Entity.LINE, "a", kind, "a", "a", decimals)


def test_declared_in_the_file_by_entity_and_name(tmp_path: Path):
    file = tmp_path / "returnml.toml"
    file.write_text(
        '[attributes.order.channel]\ntype = "category"\n'
        '[attributes.customer.birth_date]\ntype = "date"\ncolumn = "Geburtstag"\nprotected = true\n'
        '[attributes.article.weight]\ntype = "number"\ndecimals = 2\nsays = "how heavy the article is"\n'
    )
    found = {a.name: a for a in load_settings(file, {}).shop_attributes}
    assert list(found) == ["article_weight", "customer_birth_date", "order_channel"]
    assert (found["article_weight"].says, found["article_weight"].decimals) == ("how heavy the article is", 2)
    assert (found["customer_birth_date"].column, found["customer_birth_date"].is_used) == ("Geburtstag", False)
    assert (found["order_channel"].says, found["order_channel"].is_used) == ("the order's channel", True)
    assert load_settings(tmp_path / "none", {}).shop_attributes == ()


def test_a_protected_attribute_is_used_with_a_reason_only():
    gender = {"type": "category", "protected": True, "use": True}
    with pytest.raises(msgspec.ValidationError, match="because: a protected attribute is used only with a reason"):
        declared(customer={"gender": gender})
    [used] = declared(customer={"gender": gender | {"because": "sizes differ"}}).shop_attributes
    assert (used.is_used, used.because) == (True, "sizes differ")


@pytest.mark.parametrize(
    ("entities", "said"),
    [
        ({"order": {"x": {"type": "colour"}}}, "Invalid enum value 'colour'"),
        ({"shop": {"x": {"type": "flag"}}}, "Invalid enum value 'shop'"),
        ({"order": {"Channel": {"type": "flag"}}}, "attributes.order.Channel: expected a name of small letters"),
        ({"order": {"x": {"type": "flag", "decimals": 1}}}, "only numbers have decimals"),
        ({"order": {"x": {"type": "flag", "because": "so"}}}, "protected = true and use = true; this is none"),
        ({"order": {"x": {"type": "flag"}}, "line": {"y": {"type": "flag", "column": "X"}}}, "delivered in the column 'x'"),
    ],
)
def test_a_wrong_declaration_is_refused_where_it_is_read(entities, said):
    with pytest.raises(msgspec.ValidationError, match=said):
        declared(**entities)


def test_a_setting_says_its_file(tmp_path: Path):
    file = tmp_path / "returnml.toml"
    file.write_text('[attributes.order.channel]\ntype = "categroy"\n')
    with pytest.raises(SettingsError, match=r"returnml\.toml.*categroy"):
        load_settings(file, {})


@pytest.mark.parametrize(
    ("kind", "decimals", "sent", "read"),
    [
        (AttributeType.NUMBER, 0, 12, 12),
        (AttributeType.NUMBER, 2, 12.25, 1225),
        (AttributeType.NUMBER, 2, -0.1, -10),
        (AttributeType.NUMBER, 1, 3.0, 30),
        (AttributeType.DATE, 0, "1970-01-02", 1),
        (AttributeType.DATE, 0, "1969-12-31", -1),
        (AttributeType.CATEGORY, 0, " M", " M"),
        (AttributeType.CATEGORY, 0, "", None),
        (AttributeType.FLAG, 0, False, 0),
        (AttributeType.TEXT, 0, "a card, please", 1),
        (AttributeType.TEXT, 0, "  ", None),
        (AttributeType.NUMBER, 0, None, None),
    ],
)
def test_what_a_sent_value_is_read_as(kind, decimals, sent, read):
    assert read_value(of(kind, decimals), sent) == read


@pytest.mark.parametrize(
    ("kind", "sent", "said"),
    [
        (AttributeType.NUMBER, 1.5, "at most 0 decimals"),
        (AttributeType.NUMBER, True, "expected a number"),
        (AttributeType.NUMBER, "5", "expected a number"),
        (AttributeType.NUMBER, 1e300, "at most 15 digits"),
        (AttributeType.NUMBER, float("nan"), "expected a number"),
        (AttributeType.DATE, "1.2.1990", "YYYY-MM-DD"),
        (AttributeType.DATE, "1990-02-30", "a date that there is"),
        (AttributeType.DATE, "0190-02-03", "from 1800 to 2199"),
        (AttributeType.CATEGORY, 5, "expected a text"),
        (AttributeType.CATEGORY, "x" * 257, "at most 256 characters"),
        (AttributeType.FLAG, 1, "true or false"),
        (AttributeType.TEXT, 5, "expected a text"),
    ],
)
def test_a_value_of_another_type_is_refused(kind, sent, said):
    with pytest.raises(ValueError, match=said):
        read_value(of(kind), sent)


def test_a_sent_field_is_declared_and_where_it_belongs():
    own = declared(order={"channel": {"type": "category"}}, article={"weight": {"type": "number"}}).shop_attributes
    assert sent_problem(own, {"order_channel": "app"}, is_of_order=True) is None
    assert sent_problem(own, {"article_weight": 3}, is_of_order=False) is None
    misplaced = sent_problem(own, {"article_weight": 3}, is_of_order=True)
    assert misplaced is not None
    assert (misplaced.field, misplaced.rule) == ("attributes.article_weight", "attribute_unknown")
    assert misplaced.message == "no such attribute of an order is declared: order_channel"
    wrong = sent_problem(own, {"article_weight": "3"}, is_of_order=False)
    assert wrong is not None
    assert (wrong.rule, wrong.message) == ("attribute_not_readable", "'3': expected a number")
