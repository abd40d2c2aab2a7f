"""Releases: manifest, hashes, atomic write and verified load, and the deployment state. Pure; shared with serving."""
