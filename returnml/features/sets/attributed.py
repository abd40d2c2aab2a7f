"""The feature set ``order_line`` of a shop with attributes: what its own columns add to what every shop has.

A number and a flag are inputs, a date is days up to the moment, of a text it counts whether there is one. The value of a
category is a key: its counts and return rates, as of the moment, are what the model sees of it. Each attribute is a
family of its own, which speaks in the shop's words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from returnml.attributes import Attribute, Attributes, AttributeType
from returnml.errors import Refusal
from returnml.features.declarations import InputKind, KeyGroup, RequestInput
from returnml.features.families import Family, FamilyError
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.sets.shop import KEY_COLUMNS, counts, outcomes, return_rates

COUNTED, RATED = ("30d", "365d"), ("90d", "lifetime")
"""Windows of a category's counts and of its return rates."""

_COLUMNS = ("order_id", "line_id", *KEY_COLUMNS)
"""Of order lines, which an attribute's own could be taken for."""

_KINDS = {
    AttributeType.NUMBER: InputKind.INTEGER,
    AttributeType.FLAG: InputKind.INTEGER,
    AttributeType.DATE: InputKind.DAYS_SINCE,
    AttributeType.TEXT: InputKind.PRESENT,
}
_ABOUT = {
    AttributeType.NUMBER: "{says}: the number{scale}.",
    AttributeType.FLAG: "{says}: 1 or 0.",
    AttributeType.DATE: "{says}: whole days from the date to the moment.",
    AttributeType.TEXT: "{says}: whether there is a text.",
}


class UnusableAttribute(Refusal):
    """An attribute of which no features can be made; the message names it."""


@cache
def order_line(attributes: Attributes) -> FeatureSet:
    """The feature set of a shop with these attributes; without any that is used, ``ORDER_LINE`` itself.

    Raises:
        UnusableAttribute: naming the attribute whose name or words are taken.
    """
    taken = {*ORDER_LINE.raw_names, *ORDER_LINE.outputs, *(group.name for group in ORDER_LINE.groups), *_COLUMNS}
    for attribute in attributes:
        if attribute.name in taken:
            said = (
                f"{attribute.name} is a column already"
                if attribute.name in _COLUMNS
                else f"{attribute.name} is a feature already"
            )
            raise UnusableAttribute(f"attributes.{attribute.entity}.{attribute.own_name}: {said}")
    used = [a for a in attributes if a.is_used]
    if not used:
        return ORDER_LINE
    groups = tuple(_group(a) for a in used if a.type is AttributeType.CATEGORY)
    try:
        return replace(
            ORDER_LINE,
            request=(*ORDER_LINE.request, *_inputs(used)),
            groups=(*ORDER_LINE.groups, *groups),
            derived=(*ORDER_LINE.derived, *return_rates(groups)),
            families=(*ORDER_LINE.families, *(Family(a.name, a.says) for a in used)),
        )
    except FamilyError as error:
        raise UnusableAttribute(f"attributes: {error}") from error


def _inputs(used: list[Attribute]) -> Iterator[RequestInput]:
    for a in used:
        if a.type is not AttributeType.CATEGORY:
            scale = f", times 10^{a.decimals}" if a.decimals else ""
            about = _ABOUT[a.type].format(says=a.says[0].upper() + a.says[1:], scale=scale)
            suffix = {AttributeType.DATE: "_days", AttributeType.TEXT: "_present"}.get(a.type, "")
            yield RequestInput(f"{a.name}{suffix}", _KINDS[a.type], about, a.name, family=a.name)


def _group(a: Attribute) -> KeyGroup:
    return KeyGroup(a.name, (a.name,), (*counts(*COUNTED), *outcomes(*RATED)), family=a.name)
