"""Clusters in PostgreSQL databases, which several KVSPs may serve at once."""
