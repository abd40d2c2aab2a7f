"""The Dagster wing: assets, their checks, resources, jobs, schedules, sensors and partitions.

Belongs here: what Dagster needs to know, in thin bodies that call the pure packages. Must not be here: SQL, formulas,
file formats. ``location`` assembles it; nothing but ``returnml.definitions`` and the commands imports it.
"""
