"""Tiles: what is stored for one key online, and how a window is read from it.

Belongs here: integer arithmetic over tiles, heads and value lists. Must not be here: SQL, a store, a connection.
"""
