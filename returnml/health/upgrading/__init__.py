"""Bringing a data root of a version before to this one: what it needs, and doing it so that a kill anywhere is gone on from."""
