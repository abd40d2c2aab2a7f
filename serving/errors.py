"""What can go wrong in the data plane, in its own words; ``problems`` says it in HTTP."""

from __future__ import annotations


class InvalidInput(Exception):
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


class NotReady(Exception):
    """There is no verified release or no good generation; the message says which and why."""


class TooManyEvents(Exception):
    """A batch larger than what is taken at once."""


class LogUnavailable(Exception):
    """The answer cannot be logged and the policy requires it; the message says why."""
