"""Real servers for tests, run as ordinary processes on loopback, and where clients are installed."""
