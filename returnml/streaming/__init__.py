"""Kafka: events from a topic, scores to one. The client library is an extra and is imported in ``client`` alone.

Must not be here: what an event does to the store, and SQL.
"""
