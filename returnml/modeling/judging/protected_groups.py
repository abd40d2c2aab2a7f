"""How a candidate treats the groups of a protected attribute, which its model uses or not: rates and actions on the hold-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from returnml.attributes import Attribute, Attributes, AttributeType
from returnml.features.windows import DAY_US
from returnml.policy.document import ACTIONS, Action

LEAST_ROWS = 50
"""Smaller groups are one, ``others``: of a handful of people figures say nothing, and should say nothing."""
DAYS_PER_YEAR = 365.25
BAND_YEARS = 10
UNKNOWN, OTHERS = "unknown", "others"


@dataclass(frozen=True)
class GroupFigures:
    """Hold-out rows with one value, or a band of values, of a protected attribute.

    Attributes:
        predicted, actual: mean probability, and share of rows with label 1.
        actions: by action the share of rows that would get it.
    """

    attribute: str
    group: str
    rows: int
    predicted: float
    actual: float
    actions: Mapping[Action, float]


def protected_groups(
    attributes: Attributes,
    facts: Mapping[str, Sequence[Any]],
    anchor_us: np.ndarray,
    probability: np.ndarray,
    y: np.ndarray,
    action: np.ndarray,
) -> list[GroupFigures]:
    """The figures of every group, attribute by attribute, groups by name.

    Args:
        attributes: the protected ones.
        facts: the rows' values, each attribute's as a list of n texts; None is unknown.
        anchor_us: int64 (n,): when each row's label window began, at which an age is taken.
        probability, y, action: (n,); an action is its position in ``ACTIONS``.

    Raises:
        KeyError: naming an attribute that the rows do not have.
    """
    found = []
    for attribute in attributes:
        names = np.array(_groups(attribute, facts[attribute.name], anchor_us))
        values, counts = np.unique(names, return_counts=True)
        small = [value for value, count in zip(values, counts, strict=True) if count < LEAST_ROWS and value != UNKNOWN]
        names = np.where(np.isin(names, small), OTHERS, names)
        for value in np.unique(names):
            own = names == value
            share = {name: float((action[own] == i).mean()) for i, name in enumerate(ACTIONS)}
            rows, predicted, actual = int(own.sum()), float(probability[own].mean()), float(y[own].mean())
            found.append(GroupFigures(attribute.name, str(value), rows, predicted, actual, share))
    return found


def _groups(attribute: Attribute, values: Sequence[str | None], anchor_us: np.ndarray) -> list[str]:
    if attribute.type is AttributeType.CATEGORY:
        return [UNKNOWN if value is None else value for value in values]
    if attribute.type in (AttributeType.FLAG, AttributeType.TEXT):
        return [
            "yes" if value == "1" else "no" if value == "0" or attribute.type is AttributeType.TEXT else UNKNOWN
            for value in values
        ]
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    if attribute.type is AttributeType.DATE:
        years = (anchor_us // DAY_US - numbers) / DAYS_PER_YEAR
        low = np.floor(years / BAND_YEARS) * BAND_YEARS
        return [UNKNOWN if np.isnan(at) else f"{at:.0f} to {at + BAND_YEARS - 1:.0f} years" for at in low]
    scaled = numbers / 10.0**attribute.decimals
    edges = np.unique(np.nanquantile(scaled, (0.25, 0.5, 0.75))) if np.isfinite(scaled).any() else np.array([])
    return [UNKNOWN if np.isnan(v) else _band(edges, int(np.searchsorted(edges, v, side="right"))) for v in scaled]


def _band(edges: np.ndarray, at: int) -> str:
    if not len(edges):
        return "all"
    if at == 0:
        return f"below {edges[0]:g}"
    return f"{edges[at - 1]:g} and more" if at == len(edges) else f"{edges[at - 1]:g} to below {edges[at]:g}"
