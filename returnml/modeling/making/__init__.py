"""From a trained variant to a release folder, and a release made again from its manifest.

Must not be here: MLflow, and whether a release is deployed.
"""
