"""Bytes that nobody meant, for everything that reads bytes: the typed error and no other."""
