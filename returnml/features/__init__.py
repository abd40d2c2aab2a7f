"""Feature definitions, declared once and shared by batch and serving.

Belongs here: windows, declarations, derived expressions; in rooms of their own the feature sets (``sets``), the SQL compiler
(``sql``) and the tile arithmetic of the online engine (``tiles``), which do not know each other. Must not be here: database
connections, Dagster, HTTP, model code.
"""
