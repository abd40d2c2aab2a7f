"""Reads any file that a shop exports into a frame of texts with each row's file and number.

``table_reading.read_table`` is the way in.

Must not be here: what a text means (``returnml.sources.mapped``).
"""
