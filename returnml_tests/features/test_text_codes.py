"""Strings have the same code in Python as in SQL."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from returnml.features.declarations import Aggregation, Operation, Stream
from returnml.features.text_codes import text_code
from returnml.features.windows import Window


@settings(max_examples=50)
@given(st.lists(st.one_of(st.none(), st.sampled_from(["", " ", "card", "Über"]), st.text()), min_size=1))
def test_codes_agree(engine, texts):
    warehouse = engine()
    found = warehouse.evaluate([warehouse.engine.text_code("t")], texts)
    assert [code for (code,) in found] == [text_code(text) for text in texts]


def test_null_and_the_empty_string_have_none():
    assert [text_code(text) for text in (None, "", " ")] == [None, None, int("7215ee9c7d9dc22", 16)]


def test_only_distinct_takes_a_string():
    orders = Stream("orders", "core.orders", {"value": 8}, texts=("method",))
    windows = (Window.parse("24h"),)
    assert Aggregation(orders, Operation.DISTINCT, "method", windows).is_text
    with pytest.raises(ValueError, match=r"orders\.method: max of a string; only distinct counts strings"):
        Aggregation(orders, Operation.MAX, "method", windows)
