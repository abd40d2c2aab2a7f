"""How the world looks against what the champion was made on, as tables.

Must not be here: the measures themselves (``returnml.monitoring``).
"""
