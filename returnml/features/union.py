"""What several feature sets need together: the key groups whose tiles serve all of them.

Tiles in the warehouse and in the online store are kept once for all live feature sets. A group of the union has every
measure and every window that any of them declares, so that each reads its own from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from returnml.features.declarations import Aggregation, FeatureDeclarations, KeyGroup, Operation, Stream
from returnml.features.windows import Window


def union(feature_sets: Iterable[FeatureDeclarations]) -> tuple[KeyGroup, ...]:
    """The groups of all feature sets, those of one name merged; in the order in which they first occur.

    Raises:
        ValueError: where two declare a group, a stream or a column of one name differently.
    """
    declared = [group for feature_set in feature_sets for group in feature_set.groups]
    streams: dict[str, Stream] = {}
    for group in declared:
        for stream in group.streams:
            streams[stream.name] = _merged(streams.get(stream.name, stream), stream)
    by_name: dict[str, list[KeyGroup]] = {}
    for group in declared:
        first = by_name.setdefault(group.name, [])
        if first and first[0].keys != group.keys:
            raise ValueError(f"group {group.name!r} is declared with the keys {first[0].keys} and {group.keys}")
        first.append(group)
    return tuple(_united(groups, streams) for groups in by_name.values())


def holder(group: KeyGroup, held: Sequence[KeyGroup]) -> KeyGroup:
    """The one of ``held`` that has everything that ``group`` declares; ``group`` itself where none has."""
    for candidate in held:
        if (candidate.name, candidate.keys) == (group.name, group.keys) and _needs(group) <= _needs(candidate):
            return candidate
    return group


def _needs(group: KeyGroup) -> set[tuple[str, str, bool, Operation, str | None, Window]]:
    return {
        (a.stream.name, a.stream.table, a.stream.is_derived, a.operation, a.column, window)
        for a in group.aggregations
        for window in a.windows
    }


def _merged(one: Stream, other: Stream) -> Stream:
    if (one.table, one.is_derived) != (other.table, other.is_derived):
        raise ValueError(f"stream {one.name!r} is declared as {one.table} and as {other.table}, or derived in one only")
    for column in one.columns.keys() & other.columns.keys():
        if one.columns[column] != other.columns[column]:
            raise ValueError(
                f"stream {one.name!r}: column {column!r} is declared with {one.columns[column]} and {other.columns[column]} bits"
            )
    texts = tuple(dict.fromkeys((*one.texts, *other.texts)))
    return Stream(one.name, one.table, one.columns | other.columns, one.is_derived, texts)


def _united(groups: Sequence[KeyGroup], streams: dict[str, Stream]) -> KeyGroup:
    windows: dict[tuple[str, Operation, str | None], dict[Window, None]] = {}
    for group in groups:
        for a in group.aggregations:
            windows.setdefault((a.stream.name, a.operation, a.column), {}).update(dict.fromkeys(a.windows))
    united = tuple(
        Aggregation(streams[name], operation, column, tuple(found)) for (name, operation, column), found in windows.items()
    )
    return KeyGroup(groups[0].name, groups[0].keys, united)
