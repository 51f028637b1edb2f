"""A cluster that is one SQLite file with a directory of large values beside it."""
