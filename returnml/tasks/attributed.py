"""A task in a shop with attributes: its requests carry them, and its feature set has what comes of them."""

from __future__ import annotations

from dataclasses import replace

from returnml.attributes import Attributes
from returnml.features.sets.attributed import order_line
from returnml.features.sets.order_line import ORDER_LINE
from returnml.tasks.declaration import RequestColumns, Task


def with_attributes(task: Task, attributes: Attributes) -> Task:
    """The task as it is asked in a shop with these attributes; one about other rows than order lines is as it was.

    Raises:
        UnusableAttribute: naming the attribute of which no features can be made.
    """
    feature_set, request = order_line(attributes), task.spine.request
    if task.feature_set is not ORDER_LINE or feature_set is ORDER_LINE or request is None:
        return task
    used = [a for a in attributes if a.is_used]
    categories = tuple(a.name for a in used if a.is_text)
    integers = tuple(a.name for a in used if not a.is_text)
    columns = RequestColumns((*request.texts, *categories), (*request.integers, *integers), categories)
    return replace(task, feature_set=feature_set, spine=replace(task.spine, request=columns))
