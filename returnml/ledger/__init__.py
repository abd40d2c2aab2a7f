"""Events as every component sees them: what a shop sends, the validator, and the logs of events and of answers.

Shared and pure. Must not be here: the clock (``returnml.clock``), the store, SQL.
"""
