"""Releases: manifest, hashes, atomic write and verified load, and the deployment state. Pure; shared with serving.

Must not be here: how a release is made or judged, and writing files as such (``returnml.files``).
"""
