"""Contracts of the data: the delivered columns, the rules of one row, and both as schemas.

Must not be here: SQL, Dagster, what a feature is.
"""
