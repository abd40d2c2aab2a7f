"""Time and events as every component sees them: the injected clock, the events a shop sends, the validator, and the logs of
events and of answers.

Must not be here: anything that reads the wall clock other than ``SystemClock``.
"""
