"""Real servers for tests, run as ordinary processes, and where real clients are installed."""
