"""Drift and matured performance. Never imports dagster."""
