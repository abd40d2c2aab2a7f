"""Declarations compiled to plans: named steps of SQL, for an engine.

``plan`` goes from declarations and what was measured to a plan; ``engine`` says what engines differ in, ``duckdb`` is the
first. Must not be here: a database connection, a table's name of the warehouse, online arithmetic.
"""
