"""Costs, and what follows from a probability. Pure; shared with serving."""
