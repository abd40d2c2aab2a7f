"""Declarations compiled to SQL text.

Belongs here: functions from declarations to SQL, and the dialect seam. Must not be here: a database connection, a table's
name of the warehouse, online arithmetic.
"""
