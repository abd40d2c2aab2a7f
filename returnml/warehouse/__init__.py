"""Everything that runs SQL on DuckDB: table definitions, partition transactions, ingest, features, publishing.

Pure work on a given connection: never imports dagster, so that assets stay thin and tests stay fast.
"""
