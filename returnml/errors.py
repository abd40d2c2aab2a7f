"""Two kinds of errors that a person reads as one line; everything else is a defect of ours and keeps its traceback.

    Refusal       what was given is not taken: an argument, a setting, a file, a model. Who gave it changes it.
                  Commands end with exit code 2.
    Unavailable   what is needed is away: a server, a lock, a disk. Trying again later may succeed.
                  Commands end with exit code 2, the service answers 503.

Each package has classes of its own below these two. Who can treat them all alike catches these two; who knows what to do
about one catches that one. A store whose server is away is both: its kind is ``StoreError``, and it may come back.
"""

from __future__ import annotations


class Refusal(ValueError):
    """What was given is refused; the message names it, the rule that it breaks, and what to do."""


class Unavailable(Exception):
    """What is needed is away; the message says what and why."""
