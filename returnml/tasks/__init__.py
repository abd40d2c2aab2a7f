"""The scored questions: what a task is, where its rows come from, and one file for each in ``tasks.declared``.

Pure: declarations and SQL texts. Must not be here: whatever runs them.
"""

CHECKOUT = "return_risk"
"""The task that a command means where none is named, and that ``POST /v1/score`` answers."""
