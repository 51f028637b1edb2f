"""Filling a home anew that has lost its records."""
