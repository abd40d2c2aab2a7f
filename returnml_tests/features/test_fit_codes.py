"""Sizes and reasons as integers: the same in Python as in SQL, for any text."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from returnml.features import fit_codes
from returnml.features.sql import fit_expressions

TEXTS = st.one_of(
    st.none(),
    st.sampled_from(
        [
            *fit_codes.LETTER_SIZES,
            *fit_codes.TOO_SMALL,
            *fit_codes.TOO_LARGE,
            "",
            " M",
            "m ",
            "38.0",
            "1000",
            "٣٨",
            "\u017f",
            "38\n",
        ]
    ),
    st.from_regex(r"[0-9]{1,4}([.,][0-9])?", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
)


@pytest.mark.parametrize(
    ("size", "letter", "number"),
    [
        ("XXS", 2, None),
        ("2XS", 2, None),
        ("xxl", 8, None),
        ("38.5", None, 77),
        ("7", None, 14),
        ("7½", None, None),
        ("", None, None),
    ],
)
def test_a_size_stands_on_one_scale_or_on_none(size, letter, number):
    assert (fit_codes.letter_size(size), fit_codes.number_size(size)) == (letter, number)


def test_every_rank_fits_its_bits():
    assert max(fit_codes.LETTER_SIZES.values()) < 1 << fit_codes.LETTER_BITS
    assert fit_codes.number_size("999.5") == 1999 < 1 << fit_codes.NUMBER_BITS


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=40))
@example([None, "38\n", "XL", "too_small"])
def test_sql_says_what_python_says(engine, texts):
    warehouse = engine()
    expressions = [
        fit_expressions.letter_size(warehouse.engine, "t"),
        fit_expressions.number_size(warehouse.engine, "t"),
        *fit_expressions.order_columns(warehouse.engine, "t").values(),
        *fit_expressions.return_columns(warehouse.engine, "t").values(),
    ]
    found = warehouse.evaluate(expressions, texts)
    assert found == [
        (
            fit_codes.letter_size(t),
            fit_codes.number_size(t),
            *fit_codes.order_columns(t).values(),
            *fit_codes.return_columns(t).values(),
        )
        for t in texts
    ]
