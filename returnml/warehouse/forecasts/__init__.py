"""Nowcast and forecast of returns as tables, from run-off tables of the validated lines.

Must not be here: the estimates themselves (``returnml.maturity``).
"""
