"""What a task's champion says of its rows, and why, as tables and as messages.

Must not be here: what the service answered (``answers``).
"""
