"""The analyst's way in: what ``returnml.open`` gives. Reads the published copy, releases, logs and policies; changes nothing.

Must not be here: Dagster, commands, and how any table or feature is computed.
"""
