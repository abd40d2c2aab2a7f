"""Factors find a planted link, and no line sees one that was fitted on labels of its own time."""

from datetime import date, datetime

import numpy as np
import pytest

from returnml.features.windows import DAY_US
from returnml.instants import day_us, instant_us
from returnml.studies.factors import INPUTS, as_of_inputs, fit_factors
from returnml.studies.online_retail_study import FOLD_GAP_US

START = day_us(date(2011, 1, 1))
ORIGIN = instant_us(datetime(2011, 4, 1))


@pytest.fixture
def shop():
    """Two kinds of customers who return what the others keep, over five months."""
    draw = np.random.default_rng(5)
    lines = 6000
    ordered = np.sort(START + draw.integers(0, 150, lines) * DAY_US)
    customer, article = draw.integers(0, 40, lines), draw.integers(0, 30, lines)
    opposed = (customer % 2) ^ (article % 2)
    y = (draw.random(lines) < np.where(opposed, 0.6, 0.1)).astype(np.int8)
    return ordered, customer, article, y


def test_affinity_says_what_biases_cannot(shop):
    _, customer, article, y = shop
    found = fit_factors(customer, article, y.astype(float), (40, 30), 2).inputs(customer, article)
    opposed = (customer % 2) != (article % 2)
    affinity, bias = found[:, INPUTS.index("factor_affinity")], found[:, INPUTS.index("factor_bias_customer")]
    assert affinity[opposed].min() > affinity[~opposed].max()
    assert abs(bias).max() < 0.1


def test_the_same_lines_give_the_same_factors(shop):
    _, customer, article, y = shop
    once, again = (fit_factors(customer, article, y.astype(float), (41, 31), 2) for _ in range(2))
    assert (once.customers == again.customers).all()
    assert (once.articles[30] == 0).all(), "an article that nobody bought"
    assert once.bias_article[30] == once.seen_article[30] == 0


def test_labels_that_were_not_known_change_nothing(shop):
    ordered, customer, article, y = shop
    before = as_of_inputs(ordered, customer, article, y, ORIGIN, 2)
    march = instant_us(datetime(2011, 3, 1))
    late = ordered >= march - FOLD_GAP_US
    after = as_of_inputs(ordered, customer, article, np.where(late, 1 - y, y), ORIGIN, 2)
    until = ordered < instant_us(datetime(2011, 4, 1))
    assert (before[until] == after[until]).all()
    assert (before[ordered >= ORIGIN] != after[ordered >= ORIGIN]).any()
    assert (before[ordered < START + 31 * DAY_US] == 0).all(), "no label was known in the first month"
