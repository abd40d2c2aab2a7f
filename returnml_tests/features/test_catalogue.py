"""What the catalogue says about each kind of input."""

from returnml.features.catalogue import catalogue
from returnml.features.sets.order_line import ORDER_LINE

ENTRIES = {entry.name: entry for entry in catalogue(ORDER_LINE)}


def test_an_aggregate_names_key_stream_column_and_window():
    entry = ENTRIES["customer_returns_quantity_sum_30d"]
    assert (entry.key, entry.source, entry.operation, entry.column, entry.window) == (
        ("customer_id",),
        "returns",
        "sum",
        "quantity",
        "30d",
    )
    assert entry.columns == (("returns", "quantity"),)
    assert entry.description == "Sum of quantity of returns of this customer_id, in 30d."


def test_a_derived_feature_has_the_key_and_window_that_its_inputs_share():
    entry = ENTRIES["article_size_return_rate_90d"]
    assert (entry.key, entry.source, entry.operation, entry.window) == (("article_id", "size"), "outcomes", "derived", "90d")


def test_an_input_of_the_line_has_neither_key_nor_window():
    entry = ENTRIES["quantity"]
    assert (entry.key, entry.source, entry.window, entry.columns) == ((), "request", None, (("orders", "quantity"),))


def test_entries_are_the_vector_in_order():
    assert tuple(ENTRIES) == ORDER_LINE.outputs
