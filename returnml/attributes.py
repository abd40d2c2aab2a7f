"""Attributes: columns of the shop's own that become features, as its settings declare them, and how one value is read.

Belongs here: the declaration and the reading of a value that a request or an event sends. Must not be here: SQL
(``warehouse.ingest.attribute_columns`` reads what files deliver, by the same rules) and which features come of them
(``features.sets.attributed``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import msgspec

EPOCH = date(1970, 1, 1)
EARLIEST_DAY, LATEST_DAY = date(1800, 1, 1), date(2199, 12, 31)
"""Dates outside are mistyped."""
MOST_DECIMALS = 4
NUMBER = "([+-]?[0-9]{1,15}([.][0-9]{1,9})?)"
DAY = "([0-9]{4}-[0-9]{2}-[0-9]{2})"
"""What a number and a day are written as, in regular expressions of which Python and SQL have the same understanding."""
MAX_TEXT = 256


class Entity(StrEnum):
    """Of what an attribute is. Orders and customers have one value an order, articles and lines one a line."""

    CUSTOMER = "customer"
    ARTICLE = "article"
    ORDER = "order"
    LINE = "line"

    @property
    def is_of_order(self) -> bool:
        """Whether all lines of an order share it: it is sent with the order, not with each line."""
        return self in (Entity.CUSTOMER, Entity.ORDER)


class AttributeType(StrEnum):
    """What an attribute's values are, and so which features come of it."""

    NUMBER = "number"  # the number
    DATE = "date"  # whole days from the date to the moment: an age, a tenure
    CATEGORY = "category"  # return rates and counts of the value as of the moment; never the value itself
    FLAG = "flag"  # 1 or 0
    TEXT = "text"  # whether there is one; the text is not kept


class AttributeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One attribute, ``[attributes.<entity>.<name>]``.

    Attributes:
        column: of the order table, by which it is delivered; default: its name.
        says: what a reason says of it, in the shop's words; default: "the <entity>'s <name>".
        decimals: of a number: how many its values may have. They are kept as integers, scaled by them.
        protected: age, gender, title and the like: it stays out of the model unless ``use`` is true.
        use: whether the model uses it; default: unless it is protected.
        because: why a protected attribute is used; goes into every release's trail.
    """

    type: AttributeType
    column: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern='^[^"\\\\]*$')] | None = None
    says: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    decimals: Annotated[int, msgspec.Meta(ge=0, le=MOST_DECIMALS)] = 0
    protected: bool = False
    use: bool | None = None
    because: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)] | None = None

    def __post_init__(self) -> None:
        if self.decimals and self.type is not AttributeType.NUMBER:
            raise ValueError(f"decimals: {self.decimals} of a {self.type}: only numbers have decimals")
        if self.protected and self.use and not (self.because or "").strip():
            raise ValueError("because: a protected attribute is used only with a reason, which goes into the trail")
        if self.because is not None and not (self.protected and self.use):
            raise ValueError("because: is the reason of an attribute with protected = true and use = true; this is none")


@dataclass(frozen=True)
class Attribute:
    """A declared attribute.

    Attributes:
        name: its column in tables and its field in requests and events: ``order_channel``.
        column: in the delivered order table.
        says: what a reason says of it.
        is_used: whether the model may use it.
        because: why a protected one is used.
    """

    entity: Entity
    own_name: str
    type: AttributeType
    column: str
    says: str
    decimals: int = 0
    is_protected: bool = False
    is_used: bool = True
    because: str | None = None

    @property
    def name(self) -> str:
        return f"{self.entity}_{self.own_name}"

    @property
    def is_text(self) -> bool:
        """Whether its column holds strings; of the other types it holds integers."""
        return self.type is AttributeType.CATEGORY


Attributes = tuple[Attribute, ...]
"""Those of a shop, by entity and name."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")


def declared_attributes(settings: dict[Entity, dict[str, AttributeSettings]]) -> Attributes:
    """The attributes that a shop's settings declare.

    >>> channel = AttributeSettings(AttributeType.CATEGORY)
    >>> [(a.name, a.column, a.says) for a in declared_attributes({Entity.ORDER: {"channel": channel}})]
    [('order_channel', 'channel', "the order's channel")]

    Raises:
        ValueError: naming a name that is none, or two that are delivered in one column.
    """
    found: list[Attribute] = []
    for entity in sorted(settings):
        for name, own in sorted(settings[entity].items()):
            if _NAME.fullmatch(name) is None:
                raise ValueError(f"attributes.{entity}.{name}: expected a name of small letters, digits and _, a letter first")
            says = own.says or f"the {entity}'s {name.replace('_', ' ')}"
            is_used = own.use if own.use is not None else not own.protected
            found.append(
                Attribute(entity, name, own.type, own.column or name, says, own.decimals, own.protected, is_used, own.because)
            )
    by_column: dict[str, Attribute] = {}
    for attribute in found:
        other = by_column.setdefault(attribute.column.lower(), attribute)
        if other is not attribute:
            raise ValueError(
                f"attributes.{attribute.entity}.{attribute.own_name}: is delivered in the column {attribute.column!r}, as "
                f"attributes.{other.entity}.{other.own_name} is: name the column of each"
            )
    return tuple(found)


Sent = str | int | float | bool | None
"""A value as a request or an event sends it."""


def read_value(attribute: Attribute, value: Sent) -> int | str | None:
    """The value as tables and features have it: a string for a category, else an integer; None where there is none.

    A number is scaled by its decimals, a date is days since 1970-01-01, a flag 0 or 1, a text 1 where there is one.

    >>> height = Attribute(Entity.LINE, "height", AttributeType.NUMBER, "height", "the height", decimals=1)
    >>> born = Attribute(Entity.CUSTOMER, "birth_date", AttributeType.DATE, "birth_date", "how old they are")
    >>> read_value(height, 12.5), read_value(born, "1970-01-31"), read_value(born, None)
    (125, 30, None)

    Raises:
        ValueError: saying what was expected.
    """
    if value is None or value == "":
        return None
    return _READ[attribute.type](attribute, value)


def _number(attribute: Attribute, value: Sent) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a number")
    text = msgspec.json.encode(value).decode()
    if re.fullmatch(NUMBER, text) is None:
        raise ValueError("expected a number of at most 15 digits before its point")
    scaled = Decimal(text).scaleb(attribute.decimals)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"expected at most {attribute.decimals} decimals")
    return int(scaled)


def _date(_: Attribute, value: Sent) -> int:
    if not isinstance(value, str) or re.fullmatch(DAY, value) is None:
        raise ValueError("expected a date, YYYY-MM-DD")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise ValueError("expected a date that there is") from None
    if not EARLIEST_DAY <= day <= LATEST_DAY:
        raise ValueError(f"expected a date from {EARLIEST_DAY.year} to {LATEST_DAY.year}")
    return (day - EPOCH).days


def _category(_: Attribute, value: Sent) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"expected a text of at most {MAX_TEXT} characters")
    return value


def _flag(_: Attribute, value: Sent) -> int:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return int(value)


def _text(_: Attribute, value: Sent) -> int | None:
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return 1 if value.strip(" \t\r\n") else None


_READ: dict[AttributeType, Callable[[Attribute, Sent], int | str | None]] = {
    AttributeType.NUMBER: _number,
    AttributeType.DATE: _date,
    AttributeType.CATEGORY: _category,
    AttributeType.FLAG: _flag,
    AttributeType.TEXT: _text,
}


@dataclass(frozen=True)
class BadAttribute:
    """A sent value that cannot be read: its field below ``attributes``, the rule and why."""

    field: str
    rule: str
    message: str


UNKNOWN, UNREADABLE = "attribute_unknown", "attribute_not_readable"


def sent_problem(attributes: Attributes, sent: Mapping[str, Sent] | None, is_of_order: bool) -> BadAttribute | None:
    """The first of the sent values, of an order or of a line, that is not declared there or cannot be read."""
    if sent is None:
        return None
    declared = {a.name: a for a in attributes if a.entity.is_of_order is is_of_order}
    for name, value in sent.items():
        attribute = declared.get(name)
        if attribute is None:
            known = ", ".join(declared) or "none"
            where = "an order" if is_of_order else "a line"
            return BadAttribute(f"attributes.{name}", UNKNOWN, f"no such attribute of {where} is declared: {known}")
        try:
            read_value(attribute, value)
        except ValueError as error:
            return BadAttribute(f"attributes.{name}", UNREADABLE, f"{value!r}: {error}")
    return None
