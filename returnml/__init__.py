"""returnml: which order lines will come back, what that will cost and what to do about it.

Importing this package alone stays light: no heavy library is imported here. The Dagster code location is
``returnml.definitions``; the pure packages shared with serving are ``features``, ``ledger``, ``release``,
``policy`` and the ``settings`` module.
"""

__version__ = "0.1.0"
