"""What can go wrong in the data plane, in its own words; ``problems`` says it in HTTP."""

from __future__ import annotations

from returnml.errors import Refusal, Unavailable


class InvalidInput(Refusal):
    """A request that breaks a rule.

    Attributes:
        field: which part of it; in an order a path, e.g. ``lines[2].line_id``.
        rule: what is wrong with it.
    """

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class InvalidOrder(InvalidInput):
    """An order that breaks a rule."""


class NotReady(Unavailable):
    """There is no verified release or no good generation; the message says which and why."""


class TooManyEvents(Refusal):
    """A batch larger than what is taken at once."""


class LogUnavailable(Unavailable):
    """The answer cannot be logged and the policy requires it; the message says why."""
