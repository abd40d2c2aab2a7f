"""The live feature sets: those of the tasks whose spine is served.

The nightly job keeps their tiles, and the online store can serve their vectors.
"""

from __future__ import annotations

from functools import cache

from returnml.attributes import Attributes
from returnml.features.declarations import KeyGroup
from returnml.features.feature_set import FeatureSet
from returnml.features.union import union
from returnml.tasks import CHECKOUT
from returnml.tasks.registry import tasks


@cache
def live_feature_sets(attributes: Attributes) -> tuple[FeatureSet, ...]:
    """Those of a shop with these attributes."""
    # The checkout's first: groups keep their order in tiles and generations, whatever the other tasks are called.
    served = (task for task in tasks(attributes).values() if task.spine.is_served)
    ordered = sorted(served, key=lambda task: (task.name != CHECKOUT, task.name))
    return tuple({task.feature_set.name: task.feature_set for task in ordered}.values())


@cache
def live_tile_groups(attributes: Attributes) -> tuple[KeyGroup, ...]:
    """The key groups that have tiles: the union of what the live feature sets declare."""
    return union(live_feature_sets(attributes))


FEATURE_SETS = live_feature_sets(())
"""Those of every shop."""
TILE_GROUPS = live_tile_groups(())
"""Every shop's. A group of an attribute is in one feature set only, and is what that declares."""
