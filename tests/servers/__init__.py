"""Real S3 servers for tests, run as ordinary processes on loopback."""
