"""Time and events as every component sees them: the injected clock (and, with live events, the ledger).

Must not be here: anything that reads the wall clock other than ``SystemClock``.
"""
