"""What a generation holds: the key groups of all feature sets that it serves, worked out once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property

from returnml.features.declarations import KeyGroup, Operation
from returnml.features.tiles.arithmetic import GroupLayout
from returnml.features.tiles.live_tiles import LiveGroup
from returnml.files import sha256
from returnml.store.keys import GROUPS


class StoreLayout:
    """The groups of a store, which a key's first byte numbers, and the tables that feed them.

    Args:
        groups: the union of what the feature sets declare (``features.union``).

    Raises:
        ValueError: for more groups than keys can number.
    """

    def __init__(self, groups: Sequence[KeyGroup]) -> None:
        if len(groups) > GROUPS:
            raise ValueError(f"{len(groups)} key groups: a store holds at most {GROUPS}")
        self.groups = [GroupLayout(group) for group in groups]
        self.fed_by: dict[str, list[tuple[int, GroupLayout, str]]] = {}
        for i, group in enumerate(groups):
            for stream in group.streams:
                self.fed_by.setdefault(stream.table, []).append((i, self.groups[i], stream.name))

    @cached_property
    def live(self) -> list[LiveGroup]:
        """How the events of each group are added to the live part."""
        return [LiveGroup(group) for group in self.groups]

    @cached_property
    def hash(self) -> str:
        """Over the words of every group's rows and the windows that its tiles reach back to."""
        return sha256(json.dumps([group.as_data() for group in self.groups]).encode())

    @cached_property
    def has_last(self) -> bool:
        """Whether any measure depends on the order of events and not on their set alone."""
        return any(m.operation is Operation.LAST for group in self.groups for m in group.measures)

    def number_of(self, group: KeyGroup) -> int:
        """The number of the group that holds a feature set's group.

        Raises:
            KeyError: naming the group, where none does.
        """
        for i, held in enumerate(self.groups):
            if (held.group.name, held.group.keys) == (group.name, group.keys):
                return i
        raise KeyError(group.name)
