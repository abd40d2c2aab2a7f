"""Which rows a task's model may learn from, and the figures of its variants as a table.

Must not be here: fitting.
"""
