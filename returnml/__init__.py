"""returnml: which order lines will come back, what that will cost and what to do about it.

Importing this package alone stays light: no heavy library is imported here. The Dagster code location is
``returnml.definitions``; what is shared with serving is ``features``, ``ledger``, ``policy``, ``privacy``, ``reasons``,
``release``, ``store``, ``streaming``, ``tasks`` and the ground floor: ``clock``, ``files``, ``instants``, ``settings``.
Which package may import which is in ``docs/decisions/layout.md``.
"""

__version__ = "0.1.0"
