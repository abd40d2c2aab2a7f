"""The batch engine: compiled declarations run on DuckDB, tiles and feature vectors as tables.

``window_aggregates`` runs the compiled SQL; the other modules say for which rows and into which table. Must not be here:
how a declaration becomes SQL (``returnml.features.sql``).
"""
