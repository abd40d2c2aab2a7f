"""Families: which features speak of the same thing, how that is said in plain words, and when the words are true.

A feature set that is explained declares its families; each of its features belongs to exactly one of them, by declaration.
The rule, checked where a feature set is declared:

1. a request input, basket aggregate, aggregation or derived feature is of the ``family`` that it names;
2. an aggregation that names none is of its key group's;
3. a derived feature that names none is of the family that all its inputs share; where they do not, it must name one.

Families are words: they decide no value and are no part of the feature-set hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from returnml.errors import Refusal


class FamilyError(Refusal):
    """A feature without a family, or a family that is not what it must be; the message names it."""


@dataclass(frozen=True)
class Claim:
    """A fact that a row's vector tells: ``feature`` exceeds ``above``."""

    feature: str
    above: float


@dataclass(frozen=True)
class Family:
    """What one reason speaks of.

    Attributes:
        text: in plain words. It names what was looked at and states no level: what is much differs from shop to shop, and a
            line may be riskier for a share that is small. A fact that it does state must be its claim.
        claims: ``text`` is true of a row if any of them holds. One for each source that may tell it: a shop may lack the
            others. None at all: the text is always true.
    """

    name: str
    text: str
    claims: tuple[Claim, ...] = ()


def family_of_features(
    families: Sequence[Family],
    named: Mapping[str, str | None],
    derived: Mapping[str, Sequence[str]],
    outputs: Sequence[str],
) -> dict[str, str]:
    """By the name of each output its family's name.

    Args:
        families: those that there are.
        named: by raw input and derived feature the family that it, or its key group, names.
        derived: the inputs of derived features.
        outputs: the features.

    Raises:
        FamilyError: naming a feature without a family, a family that is named and not declared, one that has no feature, two
            of one name or text, or a claim about what is no feature.
    """
    known = [family.name for family in families]
    for values in (known, [family.text for family in families]):
        _refuse_twice(values)
    for name, own in named.items():
        if own is not None and own not in known:
            raise FamilyError(f"{name!r} names the family {own!r}, which is not declared; there are {', '.join(known)}")
    found: dict[str, str] = {}
    for name in outputs:
        own = named[name] or _shared(named[i] for i in derived.get(name, ()))
        if own is None:
            of = "; ".join(f"{i}: {named[i] or 'none'}" for i in derived.get(name, ()))
            said = f" (its inputs share none: {of})" if of else ""
            raise FamilyError(f"feature {name!r} belongs to no family{said}: declare one with it, of {', '.join(known)}")
        found[name] = own
    for family in families:
        if family.name not in found.values():
            raise FamilyError(f"no feature belongs to the family {family.name!r}")
        for claim in family.claims:
            if claim.feature not in found:
                raise FamilyError(f"family {family.name!r} claims something of {claim.feature!r}, which is no feature")
    return found


def _shared(families: Iterable[str | None]) -> str | None:
    """The one that all are; None where they are not, or there are none."""
    different = set(families)
    return different.pop() if len(different) == 1 else None


def _refuse_twice(values: Sequence[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise FamilyError(f"two families are called {value!r}")
