"""The store for several hosts: one Redis server, and the backend over it.

Only ``server`` and ``round_trip`` import ``redis``. Must not be here: LMDB, and what holds for both backends.
"""
