"""Events on their way into the store, and the answers to them. Knows no HTTP.

Must not be here: scoring.
"""
