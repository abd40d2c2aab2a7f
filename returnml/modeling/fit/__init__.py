"""What is fitted: trees, their calibration, and the declared variants of both.

Must not be here: snapshots, judgements, releases.
"""
