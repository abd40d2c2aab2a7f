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
    request = task.spine.request
    if task.feature_set is not ORDER_LINE or not attributes or request is None:
        return task
    used = [a for a in attributes if a.is_used]
    categories = tuple(a.name for a in used if a.is_text)
    integers = tuple(a.name for a in used if not a.is_text)
    columns = RequestColumns((*request.texts, *categories), (*request.integers, *integers), categories)
    protected = tuple(a for a in attributes if a.is_protected)
    keys, own = ", ".join(task.spine.keys), "".join(f", o.{a.name}" for a in protected)
    return replace(
        task,
        feature_set=order_line(attributes),
        spine=replace(task.spine, request=columns),
        facts=f"SELECT a.*{own} FROM ({task.facts}) a JOIN core.orders o USING ({keys})" if protected else task.facts,
        protected=protected,
    )


def reasons_of_use(task: Task) -> dict[str, str]:
    """Of each protected attribute that the task's model may use why it may; none: nothing of the kind."""
    return {f"protected attribute {a.name}": a.because for a in task.protected if a.is_used and a.because is not None}
