"""A candidate is asked as the service would ask it: what cannot be served never decides."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from returnml.features.sets.order_line import ORDER_LINE
from returnml.modeling.judging.gates.verdict import GATES
from returnml.modeling.making.as_served import problems_as_served
from returnml.modeling.making.candidate import train_release
from returnml.reasons.kernel import Explainer, ExplainerDocument, Paths
from returnml.reasons.ordering import Reasoner
from returnml.tasks.declared import return_risk
from returnml.tasks.registry import tasks
from returnml.tasks.spines import ORDER_LINES
from returnml_tests.modeling.gated import GATED, Shop
from returnml_tests.modeling.shop import TASK


def explainer(width: int) -> bytes:
    return msgspec.msgpack.encode(ExplainerDocument(width, 0.0, ()))


@pytest.mark.parametrize("name", tasks())
def test_every_declared_task_is_servable(name: str):
    task = tasks()[name]
    assert problems_as_served(task, explainer(len(task.feature_set.outputs))) == []


def test_an_explainer_of_other_features_is_a_problem():
    assert problems_as_served(return_risk.TASK, explainer(3)) == [
        f"feature set order_line: ExplainerError: the explainer takes 3 inputs, order_line has {len(ORDER_LINE.outputs)}"
    ]


def test_groups_that_cannot_be_kept_with_those_of_the_other_feature_sets_are_a_problem():
    """Both live sets have a group ``customer``; tiles are kept once."""
    customer, *others = ORDER_LINE.groups
    other = replace(ORDER_LINE, groups=(replace(customer, keys=("customer_id", "device")), *others))
    [problem] = problems_as_served(replace(return_risk.TASK, feature_set=other), explainer(len(other.outputs)))
    assert "group 'customer' is declared with the keys" in problem


def test_a_feature_that_a_request_does_not_bring_rejects_the_candidate(shop: Shop):
    """It trains and every other gate holds: in production every score would be 503."""
    unserved = replace(TASK, spine=ORDER_LINES)
    candidate = train_release(shop.snapshot(), unserved, GATED, shop.root / "unserved")
    assert candidate.release.manifest.rejected == ["servable"]
    [gate] = candidate.verdict.failed
    assert "request input 'alpha': a request has no 'alpha'" in gate.reason
    assert list(GATES).index("servable") == [g.name for g in candidate.verdict.gates].index("servable")


def test_the_documented_recipe_for_a_new_feature_can_be_served_and_explained():
    """``docs/features.md`` declares a group, a rate and a derived feature of their own family."""
    text = (Path(__file__).parents[3] / "docs" / "features.md").read_text()
    (recipe,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    made: dict[str, Any] = {}
    exec(recipe, made)
    features = made["FEATURES"]
    new = {name for name in features.outputs if name not in ORDER_LINE.outputs}
    assert new == {
        "device_orders_count_30d", "device_returns_count_30d", "device_return_rate_90d", "device_orders_per_piece_30d"
    }  # fmt: skip
    assert {features.family_of[name] for name in new} == {"device"}
    assert problems_as_served(replace(return_risk.TASK, feature_set=features), explainer(len(features.outputs))) == []
    at, width = features.outputs.index("device_return_rate_90d"), len(features.outputs)
    stump = Paths(
        1, *(np.array([[v]], t).tobytes() for v, t in ((at, "<i2"), (0.0, "<f4"), (np.inf, "<f4"), (0, "u1"), (0.5, "<f8"))),
        np.array([1.0]).tobytes(),
    )  # fmt: skip
    x = np.zeros((1, width), np.float32)
    x[0, at] = 0.3
    reasoner = Reasoner(Explainer(msgspec.msgpack.encode(ExplainerDocument(width, 0.0, (stump,)))), features)
    assert [(r.family, r.text) for r in reasoner.reasons(x)[0]] == [("device", "how often orders from this device come back")]
