"""The vectors of a request, read from generation and live part as one.

Belongs here: which stored values a feature set reads, and how they become its aggregates. Must not be here: writing,
publishing, a backend's own words.
"""
