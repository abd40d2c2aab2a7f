"""Everything of the line that runs SQL on DuckDB, a room for each of its stages.

Pure work on a given connection: never imports dagster, so that assets stay thin and tests stay fast. Belongs here, outside
the rooms: what they share (``partition``, ``tables``) and what looks over all of them (``contents``).
"""
