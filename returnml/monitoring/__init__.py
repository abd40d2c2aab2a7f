"""Measures of how the world and the served vectors look against what they should be. Pure.

Must not be here: SQL (``returnml.warehouse.monitoring``), Dagster, whom to tell.
"""
