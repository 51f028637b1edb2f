"""The simulator: real gateways, repair and crawl over homes in memory, in seeded virtual time."""
