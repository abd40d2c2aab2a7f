"""What an analyst can ask that there is no answer to; every message names what was asked and what can be done.

AnalysisError
├── NotPublished     there is no copy of the tables yet
├── UnknownTable     no table of that name; the near ones are named
├── NoDays           days are asked of a table that has none
├── MomentsError     a frame of moments that features cannot be computed for
└── NoAnswer         no such request, or no such release
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from returnml.errors import Refusal


class AnalysisError(Refusal):
    """A question that cannot be answered."""


class NotPublished(AnalysisError):
    """The line has published no copy of its tables yet."""


class UnknownTable(AnalysisError):
    """No table has that name."""


class NoDays(AnalysisError):
    """Days that a table does not have, or that are none."""


class MomentsError(AnalysisError):
    """A frame of moments that features cannot be computed for."""


class NoAnswer(AnalysisError):
    """A request or a release that there is none of."""


def nearest(asked: str, known: Iterable[str]) -> str:
    """What was meant, perhaps: the near names, else all of them.

    >>> nearest("score.daily", ["core.orders", "scores.daily"])
    'did you mean scores.daily?'
    >>> nearest("zzz", ["core.orders", "scores.daily"])
    'there are core.orders, scores.daily'
    """
    names = sorted(known)
    near = get_close_matches(asked, names, n=3)
    if not near:
        return f"there are {', '.join(names)}" if names else "there are none"
    return f"did you mean {' or '.join(near)}?"
