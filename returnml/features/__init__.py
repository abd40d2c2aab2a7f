"""Feature definitions, declared once and shared by batch and serving.

Belongs here: windows, declarations, derived expressions, the SQL compiler, the tile arithmetic of the online
engine and the feature sets themselves. Must not be here: database connections, Dagster, HTTP, model code.
"""
