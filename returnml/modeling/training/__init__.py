"""From a snapshot to a trained variant, to tuned parameters, and to the variant that the release is made from.

Must not be here: release folders, MLflow.
"""
