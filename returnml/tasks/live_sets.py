"""The live feature sets: those of the tasks whose spine is served.

The nightly job keeps their tiles, and the online store can serve their vectors.
"""

from __future__ import annotations

from returnml.features.union import union
from returnml.tasks import CHECKOUT
from returnml.tasks.registry import tasks

# The checkout's first: groups keep their order in tiles and generations, whatever the other tasks are called.
_TASKS = sorted((task for task in tasks().values() if task.spine.is_served), key=lambda task: (task.name != CHECKOUT, task.name))
FEATURE_SETS = tuple({task.feature_set.name: task.feature_set for task in _TASKS}.values())
TILE_GROUPS = union(FEATURE_SETS)
"""The key groups that have tiles: the union of what the live feature sets declare."""
