"""The Dagster code location: what ``workspace.yaml`` and ``-m returnml.definitions`` load, by the environment's settings."""

from returnml.pipeline.location import build_defs

defs = build_defs()
