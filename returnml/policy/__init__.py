"""Costs, and what follows from a probability. Pure; shared with serving.

Must not be here: where probabilities come from, and trying a policy on scored lines (``returnml.studies``).
"""
