"""Contracts of the data: as delivered, validated, features, scores. Never imports dagster."""
