"""Groups of protected attributes: who is in one, and what its figures are."""

from __future__ import annotations

import numpy as np
import pytest

from returnml.attributes import Attribute, AttributeType, Entity
from returnml.features.windows import DAY_US
from returnml.modeling.judging.protected_groups import LEAST_ROWS, protected_groups
from returnml.policy.document import ACTIONS


def attribute(kind: AttributeType, decimals: int = 0) -> Attribute:
    return Attribute(Entity.CUSTOMER, "a", kind, "a", "a", decimals, is_protected=True, is_used=False)


def groups(kind: AttributeType, values: list[str | None], decimals: int = 0, anchor_day: int = 0) -> dict[str, int]:
    n = len(values)
    found = protected_groups(
        (attribute(kind, decimals),),
        {"customer_a": values},
        np.full(n, anchor_day * DAY_US),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n, int),
    )
    return {g.group: g.rows for g in found}


def test_rates_and_actions_of_each_group_by_hand():
    n = LEAST_ROWS
    facts = {"customer_a": ["f"] * n + ["m"] * n + [None] * 2}
    probability = np.concatenate([np.full(n, 0.25), np.full(n, 0.5), [0.1, 0.3]])
    y = np.concatenate([np.arange(n) % 2, np.zeros(n), [1, 1]])
    action = np.concatenate([np.zeros(n, int), np.full(n, 2), [0, 1]])
    found = protected_groups((attribute(AttributeType.CATEGORY),), facts, np.zeros(2 * n + 2, np.int64), probability, y, action)
    told = [(g.attribute, g.group, g.rows, g.predicted, g.actual) for g in found]
    assert told == [
        ("customer_a", "f", n, 0.25, 0.5),
        ("customer_a", "m", n, 0.5, 0.0),
        ("customer_a", "unknown", 2, pytest.approx(0.2), 1.0),
    ]
    assert [g.actions[ACTIONS[2]] for g in found] == [0.0, 1.0, 0.0]
    assert found[2].actions[ACTIONS[1]] == 0.5


def test_a_small_group_is_told_with_other_small_ones():
    values: list[str | None] = ["f"] * LEAST_ROWS + ["x"] * 3 + ["y"] * 2
    assert groups(AttributeType.CATEGORY, values) == {"f": LEAST_ROWS, "others": 5}


def test_ages_are_taken_at_the_order_in_bands_of_ten_years():
    born = {29.9: "20 to 29 years", 30.1: "30 to 39 years"}
    values: list[str | None] = [str(20_000 - round(365.25 * years)) for years in born for _ in range(LEAST_ROWS)]
    found = groups(AttributeType.DATE, [*values, None], anchor_day=20_000)
    assert found == {"20 to 29 years": LEAST_ROWS, "30 to 39 years": LEAST_ROWS, "unknown": 1}


def test_flags_texts_and_quarters_of_numbers():
    n = LEAST_ROWS
    assert groups(AttributeType.FLAG, ["1"] * n + ["0"] * n + [None]) == {"yes": n, "no": n, "unknown": 1}
    assert groups(AttributeType.TEXT, ["1"] * n + [None] * n) == {"yes": n, "no": n}
    quarters = groups(AttributeType.NUMBER, [str(v) for v in (10, 20, 30, 40) for _ in range(n)], decimals=1)
    assert sum(quarters.values()) == 4 * n
    assert len(quarters) == 4


def test_rows_without_the_column_are_refused():
    with pytest.raises(KeyError, match="customer_a"):
        protected_groups((attribute(AttributeType.FLAG),), {}, np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1, int))
